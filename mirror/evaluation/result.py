"""What an encoder came to on a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mirror.evaluation.benchmark import Definition
from mirror.evaluation.metrics import Predictions, score


class TextEncoder(Protocol):
    """Whatever turns texts into vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (texts, width)."""
        ...


class CachingEncoder:
    """An encoder that keeps the vectors of the longest list of texts it has met.

    Members of an average share such a list: entity linking's 75,000 names.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._texts: tuple[str, ...] = ()
        self._vectors: NDArray[np.float32] | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (texts, width)."""
        wanted = tuple(texts)
        if self._vectors is not None and wanted == self._texts:
            return self._vectors
        vectors = self._encoder.encode(wanted)
        if len(wanted) > len(self._texts):
            self._texts, self._vectors = wanted, vectors
        return vectors


@dataclass(frozen=True)
class BenchmarkResult:
    """An encoder on one benchmark."""

    metric: str
    score: float
    n: int
    """Items scored."""
    subsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Score and n of each part."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Scores of other methods on the same items."""
    extra_metrics: Mapping[str, float] = field(default_factory=dict)
    """Other numbers of the same items and encoder, which no gate judges by."""
    predictions: Predictions | None = None
    """Nothing for an average."""
    members: Mapping[str, BenchmarkResult] = field(default_factory=dict)
    """What an average is made of."""

    def content(self) -> dict[str, Any]:
        """JSON-ready, without predictions."""
        content = {
            "metric": self.metric,
            "score": self.score,
            "n": self.n,
            "subsets": {name: dict(part) for name, part in self.subsets.items()},
            "baselines": dict(self.baselines),
            "extra_metrics": dict(self.extra_metrics),
        }
        return content | ({"members": sorted(self.members)} if self.members else {})


def make_result(
    definition: Definition,
    predictions: Predictions,
    baselines: Mapping[str, float] | None = None,
    extra_metrics: Mapping[str, float] | None = None,
) -> BenchmarkResult:
    """The score of the whole, and of each subset if there are several.

    Raises:
        BenchmarkError: the predictions are not numbers, or rank nothing.
    """
    whole = score(predictions, definition.name)
    names = list(dict.fromkeys(predictions.subsets))
    subsets = {}
    for name in names if len(names) > 1 else ():
        part = _subset(predictions, name)
        of_part = score(part, f"{definition.name}, {name}")
        subsets[name] = {"score": of_part, "n": len(part.predicted)}
    return BenchmarkResult(
        definition.metric,
        whole,
        len(predictions.predicted),
        subsets,
        baselines or {},
        extra_metrics or {},
        predictions,
    )


def macro_average(
    definition: Definition, members: Mapping[str, BenchmarkResult]
) -> BenchmarkResult:
    """The mean of benchmarks' scores, and of those measures and other methods that all have."""
    parts = list(members.values())
    return BenchmarkResult(
        definition.metric,
        float(np.mean([part.score for part in parts])),
        sum(part.n for part in parts),
        {name: {"score": part.score, "n": part.n} for name, part in members.items()},
        _means([part.baselines for part in parts]),
        _means([part.extra_metrics for part in parts]),
        members=members,
    )


def _means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: float(np.mean([part[name] for part in parts])) for name in shared}


def _subset(predictions: Predictions, name: str) -> Predictions:
    chosen = np.asarray([subset == name for subset in predictions.subsets])
    gold = None if predictions.gold is None else predictions.gold[chosen]
    return Predictions(
        (name,) * int(chosen.sum()), predictions.predicted[chosen], gold, predictions.statistic
    )
