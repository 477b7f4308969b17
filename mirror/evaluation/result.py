"""Results of an encoder on a benchmark, and what kinds need to make one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark
from mirror.evaluation.metrics import Predictions, score, select_subset
from mirror.run_data import RunData


class TextEncoder(Protocol):
    """An encoder of texts, such as `mirror.encoders.encoder.Encoder`."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (texts, dimension)."""
        ...


class CachingEncoder:
    """An encoder that keeps the embeddings of the longest list of texts so far.

    Members of an average share such a list: entity linking's 75,000 names.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._texts: tuple[str, ...] = ()
        self._vectors: NDArray[np.float32] | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (texts, dimension)."""
        requested = tuple(texts)
        if self._vectors is not None and requested == self._texts:
            return self._vectors
        vectors = self._encoder.encode(requested)
        if len(requested) > len(self._texts):
            self._texts, self._vectors = requested, vectors
        return vectors


def require_run(benchmark: Benchmark, run: RunData | None) -> RunData:
    """Return `run`, or raise BenchmarkError if it is None."""
    if run is None:
        raise BenchmarkError(
            f"{benchmark.name} is measured on a run's own texts: name a recipe that has run"
        )
    return run


@dataclass(frozen=True)
class BenchmarkResult:
    """The scores of one encoder on one benchmark."""

    metric: str
    score: float
    n: int
    """Items scored."""
    subsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Score and n of each subset."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Scores of other methods on the same items, such as `BM25`."""
    extra_metrics: Mapping[str, float] = field(default_factory=dict)
    """Further numbers that the gate does not use."""
    predictions: Predictions | None = None
    """None for an average and for kinds without items."""
    members: Mapping[str, BenchmarkResult] = field(default_factory=dict)
    """Results of an average's members."""
    chance: float = 0.0
    """The score to expect of random vectors."""

    def content(self, used_by_gate: bool) -> dict[str, Any]:
        """Return the result as JSON-ready values for `scores.json`, without predictions."""
        content = {
            "metric": self.metric,
            "score": self.score,
            "n": self.n,
            "subsets": {name: dict(part) for name, part in self.subsets.items()},
            "baselines": dict(self.baselines),
            "extra_metrics": dict(self.extra_metrics),
            "chance": self.chance,
            "used_by_gate": used_by_gate,
        }
        return content | ({"members": sorted(self.members)} if self.members else {})


def make_result(
    benchmark: Benchmark,
    predictions: Predictions,
    baselines: Mapping[str, float] | None = None,
    extra_metrics: Mapping[str, float] | None = None,
    chance: float | None = None,
) -> BenchmarkResult:
    """Return the score of all items, and of each subset if there are several.

    Args:
        benchmark: the definition.
        predictions: of all items.
        baselines: scores of other methods.
        extra_metrics: numbers that the gate does not use.
        chance: the score of random vectors; None for .5 of an AUC, else 0.

    Raises:
        BenchmarkError: predictions are not numbers, or all are equal.
    """
    whole = score(predictions, benchmark.name)
    if chance is None:
        chance = 0.5 if predictions.gold is not None and predictions.statistic == "auc" else 0.0
    names = list(dict.fromkeys(predictions.subsets))
    subsets = {}
    for name in names if len(names) > 1 else ():
        part = select_subset(predictions, name)
        subset_score = score(part, f"{benchmark.name}, {name}")
        subsets[name] = {"score": subset_score, "n": len(part.predicted)}
    return BenchmarkResult(
        benchmark.metric,
        whole,
        len(predictions.predicted),
        subsets,
        baselines or {},
        extra_metrics or {},
        predictions,
        chance=chance,
    )


def macro_average(benchmark: Benchmark, members: Mapping[str, BenchmarkResult]) -> BenchmarkResult:
    """Return the mean of the members' scores, baselines and extra metrics that all have."""
    parts = list(members.values())
    return BenchmarkResult(
        benchmark.metric,
        float(np.mean([part.score for part in parts])),
        sum(part.n for part in parts),
        {name: {"score": part.score, "n": part.n} for name, part in members.items()},
        _means([part.baselines for part in parts]),
        _means([part.extra_metrics for part in parts]),
        members=members,
        chance=float(np.mean([part.chance for part in parts])),
    )


def _means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: float(np.mean([part[name] for part in parts])) for name in shared}
