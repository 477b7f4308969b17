"""Scores and what chance leaves of their differences: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError

Floats = NDArray[np.float64]

Statistic = Literal["spearman", "auc"]

CHUNK = 100
"""Resamples computed at a time; bounds memory."""
SEED = 20_210_908
MOST_UNRANKED = 0.05
"""Share of resamples that may hold one gold score only, as few rare scores make them."""


@dataclass(frozen=True)
class Predictions:
    """What an encoder said of each item of a benchmark, and what people say."""

    subsets: tuple[str, ...]
    """Which part of the benchmark each item belongs to."""
    predicted: Floats
    """Cosine of a pair, or reciprocal rank of a query's answer."""
    gold: Floats | None = None
    """People's scores, or 1 and 0; nothing where `predicted` is a score itself."""
    statistic: Statistic = "spearman"
    """What `predicted` is measured by against `gold`."""


@dataclass(frozen=True)
class Interval:
    """A difference of two scores, with its bootstrap interval."""

    change: float
    low: float
    high: float


def statistic_of(metric: str) -> Statistic:
    """How predictions are measured against gold where a benchmark's metric is `metric`."""
    return "auc" if metric == "auc" else "spearman"


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats:
    """Cosine of each row of `first` with the same row of `second`; nan where a row is zero."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        found: Floats = np.einsum("ij,ij->i", a, b) / norms
    return found


def score(predictions: Predictions, place: str) -> float:
    """Spearman's rho with people's scores, the AUC against labels, or the items' mean score.

    The AUC is the share of pairs of a positive and a negative item of which the positive one has
    the higher prediction; equal ones count half (Mann and Whitney's U over their number).

    Raises:
        BenchmarkError: a prediction is not a number, or all are equal, so that there is no rank.
    """
    predicted, gold = predictions.predicted, predictions.gold
    if not len(predicted):
        raise BenchmarkError(f"{place} holds nothing to score: check its files")
    if not np.isfinite(predicted).all():
        count = int((~np.isfinite(predicted)).sum())
        raise BenchmarkError(
            f"{count} of {len(predicted)} predictions on {place} are not numbers: the encoder "
            "gives vectors of zeros or nan; tune it again with a lower learning rate"
        )
    if gold is None:
        return float(predicted.mean())
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        raise BenchmarkError(
            f"all predictions or all gold scores on {place} are equal, so nothing can be ranked: "
            "the encoder has collapsed, or the file is wrong"
        )
    if predictions.statistic == "auc":
        return float(_weighted_auc(gold, predicted, np.ones((1, len(gold))))[0])
    from scipy.stats import spearmanr

    return float(spearmanr(gold, predicted).statistic)


def paired_bootstrap(
    parts: Sequence[tuple[Predictions, Predictions]],
    change: float,
    place: str,
    *,
    resamples: int,
    confidence: float,
) -> Interval:
    """A percentile interval over resampled items for the mean change of `parts`, (before, after).

    Both sides are scored on the same resamples, drawn with a fixed seed, so that what makes an
    item hard for both does not widen the interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        parts: what is compared: one benchmark, or the members of an average.
        change: the observed change.
        place: the benchmark, for errors.
        resamples: how many.
        confidence: the share of changes that the interval holds.

    Raises:
        BenchmarkError: items were left out on one side, or too many resamples rank nothing.
    """
    replicates = np.zeros(resamples)
    for before, after in parts:
        if len(before.predicted) != len(after.predicted):
            raise BenchmarkError(
                f"{place} was measured on different items: measure both encoders anew"
            )
        found = score_replicates(after, resamples) - score_replicates(before, resamples)
        replicates += found / len(parts)
    return _interval(replicates, change, confidence, place)


def score_replicates(predictions: Predictions, resamples: int) -> Floats:
    """The score on each of `resamples` resamples of the items: (resamples,).

    Equal numbers of items get the same resamples, whatever the predictions.  Where a resample's
    gold scores or predictions are all equal there is no rank, and so no number.
    """
    items = len(predictions.predicted)
    generator = np.random.default_rng([SEED, items])
    even = np.full(items, 1 / items)
    parts = []
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        weights = generator.multinomial(items, even, size=count).astype(np.float64)
        parts.append(_weighted_scores(predictions, weights))
    return np.concatenate(parts)


def _interval(replicates: Floats, change: float, confidence: float, place: str) -> Interval:
    """The percentile interval of the replicates that are numbers.

    A resample without a rank tells neither side from the other.  To count it as no change would
    draw the interval to zero, and with more than a tail of them hide any loss; so it is left out,
    and too many of them are an error.
    """
    ranked = replicates[np.isfinite(replicates)]
    missing = 1 - len(ranked) / len(replicates)
    if missing > MOST_UNRANKED:
        raise BenchmarkError(
            f"two encoders cannot be compared on {place}: in {missing:.0%} of its resamples all "
            f"gold scores or all predictions are equal, and {MOST_UNRANKED:.0%} may be; give it "
            "more pairs with different scores, or leave it out of evaluation.benchmarks"
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(ranked, [tail, 1 - tail])
    return Interval(change, float(low), float(high))


def _weighted_scores(predictions: Predictions, weights: Floats) -> Floats:
    if predictions.gold is None:
        result: Floats = weights @ predictions.predicted / weights.sum(axis=1)
        return result
    if predictions.statistic == "auc":
        return _weighted_auc(predictions.gold, predictions.predicted, weights)
    first = _weighted_ranks(predictions.gold, weights)
    second = _weighted_ranks(predictions.predicted, weights)
    return _weighted_pearson(first, second, weights)


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Mean ranks (resamples, items) of items that stand in each resample `weights` times."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    group_ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    group = np.cumsum(np.isin(np.arange(len(values)), starts)) - 1
    ranks = np.empty_like(weights)
    ranks[:, order] = group_ranks[:, group]
    return ranks


def _weighted_auc(gold: Floats, predicted: Floats, weights: Floats) -> Floats:
    """AUC in each resample, from the ranks of its positive items: (resamples,)."""
    positive = weights * (gold == 1)
    above = positive.sum(axis=1)
    below = weights.sum(axis=1) - above
    ranks = (positive * _weighted_ranks(predicted, weights)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (ranks - above * (above + 1) / 2) / (above * below)
    return found


def _weighted_pearson(first: Floats, second: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    a = first - (weights * first).sum(axis=1, keepdims=True) / total
    b = second - (weights * second).sum(axis=1, keepdims=True) / total
    shared = (weights * a * b).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = shared / np.sqrt((weights * a * a).sum(1) * (weights * b * b).sum(1))
    return result
