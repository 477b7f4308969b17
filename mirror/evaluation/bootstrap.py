"""Bootstrap intervals of scores and of changes of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirror.errors import BenchmarkError
from mirror.evaluation.metrics import Floats, Predictions, weighted_scores

CHUNK = 100
"""Resamples computed at a time; bounds memory."""
SEED = 20_210_908
MAX_UNRANKED = 0.05
"""Share of resamples that may have no ranks, because rare gold scores were not drawn."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def paired_bootstrap(
    parts: Sequence[tuple[Predictions, Predictions]],
    change: float,
    name: str,
    *,
    resamples: int,
    confidence: float,
) -> Estimate:
    """Return the percentile interval of the mean change of `parts` over resampled items.

    Both encoders are scored on the same resamples, drawn with a fixed seed, so that items that are
    hard for both do not widen the interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        parts: predictions before and after, of one benchmark or of an average's members.
        change: the observed change of the score.
        name: the benchmark, for errors.
        resamples: number of resamples.
        confidence: level of the interval, such as .95.

    Raises:
        BenchmarkError: the items differ, or too many resamples have no ranks.
    """
    replicates = np.zeros(resamples)
    for before, after in parts:
        if len(before.predicted) != len(after.predicted):
            raise BenchmarkError(
                f"{name} was measured on different items: evaluate both encoders again"
            )
        changes = score_replicates(after, resamples) - score_replicates(before, resamples)
        replicates += changes / len(parts)
    return _percentile_interval(replicates, change, confidence, name)


def mean_interval(values: Floats, *, resamples: int, confidence: float) -> Estimate:
    """Return the mean of items' values with its percentile interval.

    Args:
        values: (items,), finite.
        resamples: number of resamples.
        confidence: level of the interval, such as .95.
    """
    replicates = score_replicates(Predictions(("",) * len(values), values), resamples)
    return _percentile_interval(replicates, float(values.mean()), confidence, "the mean")


def score_low(parts: Sequence[Predictions], *, resamples: int, confidence: float) -> float:
    """Return the lower end of the interval of the mean score of `parts`; NaN without any ranks."""
    replicates = np.mean([score_replicates(part, resamples) for part in parts], axis=0)
    ranked = replicates[np.isfinite(replicates)]
    return float(np.quantile(ranked, (1 - confidence) / 2)) if len(ranked) else math.nan


def score_replicates(predictions: Predictions, resamples: int) -> Floats:
    """Return the score on each resample of the items: (resamples,).

    Predictions of equally many items get the same resamples.  A resample whose gold scores or
    predictions are all equal has no ranks; its score is nan.
    """
    items = len(predictions.predicted)
    generator = np.random.default_rng([SEED, items])
    even = np.full(items, 1 / items)
    parts = []
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        weights = generator.multinomial(items, even, size=count).astype(np.float64)
        parts.append(weighted_scores(predictions, weights))
    return np.concatenate(parts)


def _percentile_interval(replicates: Floats, mean: float, confidence: float, name: str) -> Estimate:
    """Return the percentile interval of the finite replicates.

    A resample without ranks says nothing about the change.  Counting it as no change would shrink
    the interval towards zero and could hide a loss, so it is left out; too many are an error.
    """
    ranked = replicates[np.isfinite(replicates)]
    missing = 1 - len(ranked) / len(replicates)
    if missing > MAX_UNRANKED:
        raise BenchmarkError(
            f"two encoders cannot be compared on {name}: in {missing:.0%} of its resamples all "
            f"gold scores or all predictions are equal, and {MAX_UNRANKED:.0%} may be; give it "
            "more pairs with different scores, or leave it out of evaluation.benchmarks"
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(ranked, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high))
