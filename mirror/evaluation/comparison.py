"""Comparison of two encoders' scores by paired bootstrap, benchmark by benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.bootstrap import paired_bootstrap, score_low
from mirror.evaluation.metrics import Predictions, select_subset, statistic_of
from mirror.evaluation.result import BenchmarkResult
from mirror.evaluation.score_change import MetricSummary, ScoreChange, joined_with
from mirror.evaluation.significance import improvement_p_value, items_that_differ
from mirror.recipe import GateSection
from mirror.stage_files import read_json, reading
from mirror.store import StageRecord

MIN_SUBSET = 50
"""Items below which a subset is too small to judge by; they still count in the benchmark."""
RESULT_FIELDS = ("metric", "score", "n", "subsets", "baselines", "extra_metrics", "chance")
"""Fields of a result that `scores.json` has."""

Parts = list[tuple[Predictions, Predictions]]
"""Predictions before and after, of one benchmark or of an average's members."""


def compare(before: StageRecord, after: StageRecord, gate: GateSection) -> tuple[ScoreChange, ...]:
    """Return the change on each benchmark that the gate uses, between two evaluations.

    Raises:
        StoreError: an evaluation's folder is damaged, or they have different benchmarks.
        BenchmarkError: they have different items, or too few different scores.
    """
    return _compare(before.path, before.digest, after.path, after.digest, gate)


@lru_cache(maxsize=64)
def _compare(
    before: Path, _before_digest: str, after: Path, _after_digest: str, gate: GateSection
) -> tuple[ScoreChange, ...]:
    """As `compare`; a run's verdict, report, card and record need the same comparisons."""
    both = _results_used_by_gate(before, after)
    return tuple(compare_results(name, old, new, gate) for name, old, new in both)


def compare_slices(
    before: StageRecord, after: StageRecord, gate: GateSection
) -> tuple[ScoreChange, ...]:
    """As `compare`, for each subset of at least 50 items, without p-values.

    Raises:
        StoreError: an evaluation's folder is damaged, or they have different benchmarks.
        BenchmarkError: they have different items, or too few different scores.
    """
    changes = []
    for name, *results in _results_used_by_gate(before.path, after.path):
        subsets = results[1].subsets
        for subset, content in subsets.items() if len(subsets) > 1 else ():
            if content["n"] >= MIN_SUBSET:
                label, (old, new) = f"{name}, {subset}", (_slice(each, subset) for each in results)
                changes.append(_change(label, old, new, _parts(label, old, new), gate))
    return tuple(changes)


def compare_results(
    name: str, before: BenchmarkResult, after: BenchmarkResult, gate: GateSection
) -> ScoreChange:
    """Return the change between two results on one benchmark; an average's from its members.

    Raises:
        BenchmarkError: the items differ, or too few scores differ.
    """
    parts = _parts(name, before, after)
    return replace(
        _change(name, before, after, parts, gate),
        p=improvement_p_value(parts, gate.resamples),
        differing=items_that_differ(parts),
        after_low=score_low(
            [new for _, new in parts], resamples=gate.resamples, confidence=gate.confidence
        ),
    )


def _change(
    name: str, before: BenchmarkResult, after: BenchmarkResult, parts: Parts, gate: GateSection
) -> ScoreChange:
    estimate = paired_bootstrap(
        parts,
        after.score - before.score,
        name,
        resamples=gate.resamples,
        confidence=gate.confidence,
    )
    return ScoreChange(
        benchmark=name,
        metric=after.metric,
        n=after.n,
        before=before.score,
        after=after.score,
        change=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        baselines=dict(after.baselines),
        joined=joined_scores(after.baselines, after.extra_metrics),
        chance=after.chance,
    )


def _parts(name: str, before: BenchmarkResult, after: BenchmarkResult) -> Parts:
    if after.members:
        return [
            pair
            for member, result in after.members.items()
            for pair in _parts(member, before.members[member], result)
        ]
    if before.predictions is None or after.predictions is None:
        raise BenchmarkError(f"{name} has no predictions to compare: evaluate both encoders again")
    return [(before.predictions, after.predictions)]


def joined_scores(
    baselines: Mapping[str, float], extra_metrics: Mapping[str, float]
) -> dict[str, float]:
    """Return the scores of the encoder joined with a baseline, by the baseline's name."""
    names = {method: joined_with(method) for method in baselines}
    return {method: extra_metrics[name] for method, name in names.items() if name in extra_metrics}


def gate_scores(evaluation: StageRecord) -> dict[str, float]:
    """Return the score on each benchmark that the gate uses.

    Raises:
        StoreError: the evaluation's folder is damaged.
    """
    contents = read_json(evaluation.path / "scores.json").items()
    return {
        name: float(content["score"])
        for name, content in contents
        if content.get("used_by_gate", True)
    }


def guard_change(name: str | None, before: StageRecord, after: StageRecord) -> MetricSummary | None:
    """Return both scores on a recipe's guard; None if it has none.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    if name is None:
        return None
    old, new = (read_json(record.path / "scores.json")[name] for record in (before, after))
    return MetricSummary(name, str(new["metric"]), float(old["score"]), float(new["score"]))


def extra_metric_changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[MetricSummary, ...]:
    """Return the numbers that the gate does not use, from two `scores.json`."""
    changes = []
    for name, new in after.items():
        old = before[name]
        if not new.get("used_by_gate", True):
            scores = float(old["score"]), float(new["score"])
            changes.append(MetricSummary(name, str(new["metric"]), *scores))
        for metric, value in new.get("extra_metrics", {}).items():
            values = float(old["extra_metrics"][metric]), float(value)
            changes.append(MetricSummary(name, metric, *values))
    return tuple(changes)


def _results_used_by_gate(
    before: Path, after: Path
) -> Iterator[tuple[str, BenchmarkResult, BenchmarkResult]]:
    """Yield name and both encoders' results of each benchmark that the gate uses."""
    old, new = (read_json(folder / "scores.json") for folder in (before, after))
    if old.keys() != new.keys():
        raise StoreError(
            f"{before} and {after} hold scores of different benchmarks: remove them and run again"
        )
    for name, content in new.items():
        if content.get("used_by_gate", True):
            yield name, _read_result(before, name, old[name]), _read_result(after, name, content)


def _read_result(folder: Path, name: str, content: Mapping[str, Any]) -> BenchmarkResult:
    metric = str(content["metric"])
    members = {
        member: _part(metric, content["subsets"][member], _read_predictions(folder, metric, member))
        for member in content.get("members", ())
    }
    return BenchmarkResult(
        **{field: content[field] for field in RESULT_FIELDS if field in content},
        predictions=None if members else _read_predictions(folder, metric, name),
        members=members,
    )


def _slice(result: BenchmarkResult, subset: str) -> BenchmarkResult:
    """Return the result of one subset, or of one member of an average."""
    if result.predictions is None:
        return result.members[subset]
    return _part(result.metric, result.subsets[subset], select_subset(result.predictions, subset))


def _part(metric: str, subset: Mapping[str, float], predictions: Predictions) -> BenchmarkResult:
    return BenchmarkResult(metric, subset["score"], int(subset["n"]), predictions=predictions)


def _read_predictions(folder: Path, metric: str, benchmark: str) -> Predictions:
    import pyarrow.parquet as pq  # late: `mirror show` does without it

    path = folder / "predictions" / f"{benchmark}.parquet"
    with reading(path):
        table = pq.read_table(path)
    subsets, predicted = tuple(table["subset"].to_pylist()), table["predicted"].to_numpy()
    if table["gold"].null_count == table.num_rows:
        return Predictions(subsets, predicted)
    return Predictions(subsets, predicted, table["gold"].to_numpy(), statistic_of(metric))
