"""Two encoders on one benchmark, each measured just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition
from mirror.evaluation.metrics import Predictions, paired_bootstrap
from mirror.recipe import GateSection
from mirror.release.run_record import MetricSummary, ScoreLine
from mirror.release.run_results import paired_extra_metrics

if TYPE_CHECKING:
    from mirror.evaluation.result import BenchmarkResult


def compare_results(
    name: str, before: BenchmarkResult, after: BenchmarkResult, gate: GateSection
) -> ScoreLine:
    """The change from one encoder to the other, by paired bootstrap; an average's from its parts.

    Raises:
        BenchmarkError: they were not measured on the same items, or its scores hardly differ.
    """
    found = paired_bootstrap(
        _parts(name, before, after),
        after.score - before.score,
        name,
        resamples=gate.resamples,
        confidence=gate.confidence,
    )
    return ScoreLine(
        benchmark=name,
        metric=after.metric,
        n=after.n,
        before=before.score,
        after=after.score,
        change=found.change,
        low=found.low,
        high=found.high,
        baselines=dict(after.baselines),
    )


def compare_extra_metrics(
    definition: Definition, before: BenchmarkResult, after: BenchmarkResult
) -> tuple[MetricSummary, ...]:
    """What was measured beside the score; the score too where no gate judges by it."""
    sides = (
        {**side.content(), "used_by_gate": definition.used_by_gate} for side in (before, after)
    )
    found = paired_extra_metrics(*sides)
    return tuple(MetricSummary(definition.name, *numbers) for numbers in found)


def _parts(
    name: str, before: BenchmarkResult, after: BenchmarkResult
) -> list[tuple[Predictions, Predictions]]:
    if after.members:
        members = after.members.items()
        return [
            pair for part, found in members for pair in _parts(part, before.members[part], found)
        ]
    if before.predictions is None or after.predictions is None:
        raise BenchmarkError(f"{name} left no predictions to compare: measure both encoders anew")
    return [(before.predictions, after.predictions)]
