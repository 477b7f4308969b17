"""Comparison of two encoders' scores by paired bootstrap, benchmark by benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.bootstrap import paired_bootstrap, score_low
from mirror.evaluation.metrics import Predictions, select_subset, statistic_of
from mirror.evaluation.score_change import MetricSummary, ScoreChange, joined_with
from mirror.evaluation.significance import improvement_p_value, items_that_differ
from mirror.recipe import GateSection
from mirror.store import StageRecord

if TYPE_CHECKING:
    from mirror.evaluation.benchmark import Benchmark
    from mirror.evaluation.result import BenchmarkResult

MIN_SUBSET = 50
"""Items below which a subset is too small to judge by; they still count in the benchmark."""


def compare(before: StageRecord, after: StageRecord, gate: GateSection) -> tuple[ScoreChange, ...]:
    """Return the change on each benchmark that the gate uses, between two evaluations.

    Raises:
        StoreError: an evaluation's folder is damaged, or they have different benchmarks.
        BenchmarkError: they have different items, or too few different scores.
    """
    folders = (before.folder, after.folder)
    digests = (before.digest, after.digest)
    return _compare(folders, digests, gate.resamples, gate.confidence)


def compare_slices(
    before: StageRecord, after: StageRecord, gate: GateSection
) -> tuple[ScoreChange, ...]:
    """As `compare`, for each subset of at least 50 items.

    Raises:
        StoreError: an evaluation's folder is damaged, or they have different benchmarks.
        BenchmarkError: they have different items, or too few different scores.
    """
    folders = (before.folder, after.folder)
    digests = (before.digest, after.digest)
    return _compare_slices(folders, digests, gate.resamples, gate.confidence)


def compare_results(
    name: str, before: BenchmarkResult, after: BenchmarkResult, gate: GateSection
) -> ScoreChange:
    """Return the change between two results on one benchmark; an average's from its members.

    Raises:
        BenchmarkError: the items differ, or too few scores differ.
    """
    parts = _result_parts(name, before, after)
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
        **_evidence(parts, gate.resamples, gate.confidence),
    )


def _evidence(
    parts: list[tuple[Predictions, Predictions]], resamples: int, confidence: float
) -> dict[str, Any]:
    """Return what the gate asks of an improvement, by field of `ScoreChange`."""
    after = [predictions for _, predictions in parts]
    return {
        "p": improvement_p_value(parts, resamples),
        "differing": items_that_differ(parts),
        "after_low": score_low(after, resamples=resamples, confidence=confidence),
    }


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
    contents = _scores(evaluation.folder).items()
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
    old, new = (_scores(record.folder)[name] for record in (before, after))
    return MetricSummary(name, str(new["metric"]), float(old["score"]), float(new["score"]))


def compare_extra_metrics(
    benchmark: Benchmark, before: BenchmarkResult, after: BenchmarkResult
) -> tuple[MetricSummary, ...]:
    """Return the extra metrics of two results, and the scores if the gate does not use them."""
    contents = (
        {**result.content(), "used_by_gate": benchmark.used_by_gate} for result in (before, after)
    )
    return tuple(_extra_metrics(benchmark.name, *contents))


def extra_metric_changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[MetricSummary, ...]:
    """Return the numbers that the gate does not use, from two `scores.json`."""
    return tuple(
        summary for name in after for summary in _extra_metrics(name, before[name], after[name])
    )


def _extra_metrics(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[MetricSummary]:
    if not after.get("used_by_gate", True):
        scores = float(before["score"]), float(after["score"])
        yield MetricSummary(name, str(after["metric"]), *scores)
    for metric, value in after.get("extra_metrics", {}).items():
        yield MetricSummary(name, metric, float(before["extra_metrics"][metric]), float(value))


@lru_cache(maxsize=64)
def _compare(
    folders: tuple[str, str], digests: tuple[str, str], resamples: int, confidence: float
) -> tuple[ScoreChange, ...]:
    changes = []
    for name, old, new in _used_by_gate(folders):
        metric = str(new["metric"])
        parts = [_both(folders, metric, member) for member in new.get("members", [name])]
        scores = (float(old["score"]), float(new["score"]))
        estimate = paired_bootstrap(
            parts, scores[1] - scores[0], name, resamples=resamples, confidence=confidence
        )
        interval = (estimate.mean, estimate.low, estimate.high)
        baselines = new.get("baselines", {})
        joined = joined_scores(baselines, new.get("extra_metrics", {}))
        evidence = _evidence(parts, resamples, confidence)
        chance = float(new.get("chance", 0.0))
        head = (name, metric, int(new["n"]), *scores, *interval)
        changes.append(ScoreChange(*head, baselines, joined, chance=chance, **evidence))
    return tuple(changes)


@lru_cache(maxsize=64)
def _compare_slices(
    folders: tuple[str, str], digests: tuple[str, str], resamples: int, confidence: float
) -> tuple[ScoreChange, ...]:
    changes = []
    for name, old, new in _used_by_gate(folders):
        subsets = new.get("subsets", {})
        for subset, content in subsets.items():
            if int(content["n"]) < MIN_SUBSET or len(subsets) < 2:
                continue
            metric, label = str(new["metric"]), f"{name}, {subset}"
            is_member = subset in new.get("members", ())
            before, after = _both(folders, metric, subset if is_member else name)
            if not is_member:
                before, after = select_subset(before, subset), select_subset(after, subset)
            scores = (float(old["subsets"][subset]["score"]), float(content["score"]))
            estimate = paired_bootstrap(
                [(before, after)],
                scores[1] - scores[0],
                label,
                resamples=resamples,
                confidence=confidence,
            )
            interval = (estimate.mean, estimate.low, estimate.high)
            changes.append(ScoreChange(label, metric, int(content["n"]), *scores, *interval))
    return tuple(changes)


def _used_by_gate(
    folders: tuple[str, str],
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name and both encoders' scores of each benchmark that the gate uses."""
    before, after = (_scores(folder) for folder in folders)
    if before.keys() != after.keys():
        raise StoreError(
            f"{folders[0]} and {folders[1]} hold scores of different benchmarks: remove them and "
            "run again"
        )
    for name, new in after.items():
        if new.get("used_by_gate", True):
            yield name, before[name], new


def _both(folders: tuple[str, str], metric: str, benchmark: str) -> tuple[Predictions, Predictions]:
    before, after = (_predictions(folder, metric, benchmark) for folder in folders)
    return before, after


def _result_parts(
    name: str, before: BenchmarkResult, after: BenchmarkResult
) -> list[tuple[Predictions, Predictions]]:
    if after.members:
        return [
            pair
            for member, result in after.members.items()
            for pair in _result_parts(member, before.members[member], result)
        ]
    if before.predictions is None or after.predictions is None:
        raise BenchmarkError(f"{name} has no predictions to compare: evaluate both encoders again")
    return [(before.predictions, after.predictions)]


def _scores(folder: str) -> dict[str, Any]:
    path = Path(folder) / "scores.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    return content


def _predictions(folder: str, metric: str, benchmark: str) -> Predictions:
    import pyarrow.parquet as pq  # late: `mirror show` does without it

    path = Path(folder) / "predictions" / f"{benchmark}.parquet"
    try:
        table = pq.read_table(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    subsets, predicted = tuple(table["subset"].to_pylist()), table["predicted"].to_numpy()
    if table["gold"].null_count == table.num_rows:
        return Predictions(subsets, predicted)
    return Predictions(subsets, predicted, table["gold"].to_numpy(), statistic_of(metric))
