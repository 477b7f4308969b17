"""Two encoders' evaluations, benchmark by benchmark and slice by slice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mirror.errors import StoreError
from mirror.evaluation.metrics import Predictions, paired_bootstrap, statistic_of
from mirror.recipe import GateSection
from mirror.store import StageRecord

LEAST_SLICE = 50
"""Items below which a slice is too small to judge by; it still counts in its benchmark."""


@dataclass(frozen=True)
class ScoreChange:
    """One benchmark or a slice of it, two encoders."""

    benchmark: str
    """A slice is named after its benchmark: `sts-english, sts12`."""
    before: float
    after: float
    change: float
    low: float
    """Lower end of the change's bootstrap interval."""
    high: float
    n: int
    """Items scored."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Scores of other methods on the same items, such as `bm25`."""

    def __str__(self) -> str:
        return (
            f"{self.benchmark}: {self.before:.3f} to {self.after:.3f}, "
            f"{self.change:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        )


def compare(before: StageRecord, after: StageRecord, gate: GateSection) -> tuple[ScoreChange, ...]:
    """Two evaluations of the same benchmarks, by paired bootstrap; those not gated are left out.

    Raises:
        StoreError: an evaluation's folder is damaged, or they measured different benchmarks.
        BenchmarkError: they measured different items, or a benchmark's scores hardly differ.
    """
    folders = (before.folder, after.folder)
    digests = (before.digest, after.digest)
    return _compare(folders, digests, gate.resamples, gate.confidence)


def compare_slices(
    before: StageRecord, after: StageRecord, gate: GateSection
) -> tuple[ScoreChange, ...]:
    """As `compare`, for the parts that benchmarks fall into, where those are not too small.

    Raises:
        StoreError: an evaluation's folder is damaged, or they measured different benchmarks.
        BenchmarkError: they measured different items, or a slice's scores hardly differ.
    """
    folders = (before.folder, after.folder)
    digests = (before.digest, after.digest)
    return _compare_slices(folders, digests, gate.resamples, gate.confidence)


@lru_cache(maxsize=64)
def _compare(
    folders: tuple[str, str], digests: tuple[str, str], resamples: int, confidence: float
) -> tuple[ScoreChange, ...]:
    differences = []
    for name, was, now in _gated(folders):
        metric = str(now["metric"])
        parts = [_both(folders, metric, member) for member in now.get("members", [name])]
        change = float(now["score"]) - float(was["score"])
        found = paired_bootstrap(parts, change, name, resamples=resamples, confidence=confidence)
        scores = (float(was["score"]), float(now["score"]))
        interval = (found.change, found.low, found.high)
        baselines = now.get("baselines", {})
        differences.append(ScoreChange(name, *scores, *interval, int(now["n"]), baselines))
    return tuple(differences)


@lru_cache(maxsize=64)
def _compare_slices(
    folders: tuple[str, str], digests: tuple[str, str], resamples: int, confidence: float
) -> tuple[ScoreChange, ...]:
    differences = []
    for name, was, now in _gated(folders):
        for part, found in now.get("subsets", {}).items():
            if int(found["n"]) < LEAST_SLICE or len(now["subsets"]) < 2:
                continue
            metric, place = str(now["metric"]), f"{name}, {part}"
            sides = _both(folders, metric, part if part in now.get("members", ()) else name)
            if part not in now.get("members", ()):
                sides = (_slice(sides[0], part), _slice(sides[1], part))
            scores = (float(was["subsets"][part]["score"]), float(found["score"]))
            interval = paired_bootstrap(
                [sides], scores[1] - scores[0], place, resamples=resamples, confidence=confidence
            )
            ends = (interval.change, interval.low, interval.high)
            differences.append(ScoreChange(place, *scores, *ends, int(found["n"])))
    return tuple(differences)


def _gated(folders: tuple[str, str]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name and both sides' scores of each benchmark that the gate judges by."""
    before, after = (_scores(folder) for folder in folders)
    if before.keys() != after.keys():
        raise StoreError(f"{folders[0]} and {folders[1]} measured different benchmarks")
    for name, now in after.items():
        if now.get("used_by_gate", True):
            yield name, before[name], now


def _both(folders: tuple[str, str], metric: str, benchmark: str) -> tuple[Predictions, Predictions]:
    before, after = (_predictions(folder, metric, benchmark) for folder in folders)
    return before, after


def _slice(predictions: Predictions, name: str) -> Predictions:
    chosen = np.asarray([subset == name for subset in predictions.subsets])
    gold = None if predictions.gold is None else predictions.gold[chosen]
    return Predictions(
        (name,) * int(chosen.sum()), predictions.predicted[chosen], gold, predictions.statistic
    )


def _scores(folder: str) -> dict[str, Any]:
    path = Path(folder) / "scores.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    return content


def _predictions(folder: str, metric: str, benchmark: str) -> Predictions:
    path = Path(folder) / "predictions" / f"{benchmark}.parquet"
    try:
        table = pq.read_table(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    gold = None
    if table["gold"].null_count < table.num_rows:
        gold = table["gold"].to_numpy()
    subsets = tuple(table["subset"].to_pylist())
    return Predictions(subsets, table["predicted"].to_numpy(), gold, statistic_of(metric))
