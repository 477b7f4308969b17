"""Metrics of predictions: Spearman correlation, AUC and means, also with weighted items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError

Floats = NDArray[np.float64]

Statistic = Literal["spearman", "auc"]

DEPTH = 10
"""Rank of the last answer that counts (MRR@10)."""


@dataclass(frozen=True)
class Predictions:
    """An encoder's prediction for each item of a benchmark, with the gold scores."""

    subsets: tuple[str, ...]
    """The subset of each item; empty where the benchmark has none."""
    predicted: Floats
    """Cosine of a pair, or the score of an item, such as a reciprocal rank: (items,)."""
    gold: Floats | None = None
    """Human scores, or 1 and 0; None where `predicted` holds scores of items."""
    statistic: Statistic = "spearman"
    """How `predicted` is compared with `gold`."""


def statistic_of(metric: str) -> Statistic:
    """Return how predictions are compared with gold scores under a benchmark's metric.

    Raises:
        BenchmarkError: the metric is none that compares predictions with gold scores.
    """
    if metric == "auc":
        return "auc"
    if metric == "spearman":
        return "spearman"
    raise BenchmarkError(
        f"the metric {metric!r} does not compare predictions with gold scores: use spearman or "
        "auc, or give each item its own score"
    )


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats:
    """Return the cosine of corresponding rows, nan where a row is zero: (rows,)."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        result: Floats = np.einsum("ij,ij->i", a, b) / norms
    return result


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row scaled to length 1, nan where it is zero: (rows, dimension)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: NDArray[np.float32] = vectors / norms
    return unit


def cosine_scores(
    queries: NDArray[np.float32], answers: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the cosine of each query (row) with each answer (column).

    Args:
        queries: embeddings (queries, dimension).
        answers: embeddings (answers, dimension).
    """
    scores: NDArray[np.float32] = unit_rows(queries) @ unit_rows(answers).T
    return scores


def reciprocal_ranks(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the reciprocal rank of each query's answer, 0 beyond rank 10: (queries,).

    The right answer counts as last among answers of equal score, so that a collapsed encoder
    scores 0.

    Args:
        scores: (queries, answers); the right answers are on the diagonal.
    """
    right = np.diag(scores)[:, None]
    ranks = (scores >= right).sum(axis=1).astype(np.float64)
    reciprocal = np.where((ranks >= 1) & (ranks <= DEPTH), 1 / np.maximum(ranks, 1), 0.0)
    return np.where(np.isnan(right[:, 0]), np.nan, reciprocal)


def chance_rank(answers: int) -> float:
    """Return the mean reciprocal rank, 0 beyond rank 10, of one right answer in random order."""
    return sum(1 / rank for rank in range(1, min(DEPTH, answers) + 1)) / answers


def check_vectors(vectors: NDArray[np.float32], benchmark: str) -> None:
    """Raise an error if a vector is zero or not finite.

    Args:
        vectors: embeddings (texts, dimension).
        benchmark: the benchmark's name, for the error.

    Raises:
        BenchmarkError: a vector is zero or holds nan or infinity.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise BenchmarkError(
            f"the encoder gives vectors of zeros or nan for texts of {benchmark}: tune it again "
            "with a lower learning rate"
        )


def select_subset(predictions: Predictions, name: str) -> Predictions:
    """Return the predictions of one subset's items."""
    chosen = np.asarray([subset == name for subset in predictions.subsets])
    gold = None if predictions.gold is None else predictions.gold[chosen]
    return Predictions(
        (name,) * int(chosen.sum()), predictions.predicted[chosen], gold, predictions.statistic
    )


def score(predictions: Predictions, benchmark: str) -> float:
    """Return Spearman's rho with human scores, the AUC of labels, or the mean score of the items.

    The AUC is the share of pairs of a positive and a negative item in which the positive one has
    the higher prediction; ties count half (Mann and Whitney's U, normalised).

    Raises:
        BenchmarkError: a prediction is not a number, or all are equal, so that there are no ranks.
    """
    predicted, gold = predictions.predicted, predictions.gold
    if not len(predicted):
        raise BenchmarkError(f"{benchmark} has no items to score: check its files")
    if not np.isfinite(predicted).all():
        count = int((~np.isfinite(predicted)).sum())
        raise BenchmarkError(
            f"{count} of {len(predicted)} predictions on {benchmark} are not numbers: the encoder "
            "gives vectors of zeros or nan; tune it again with a lower learning rate"
        )
    if gold is None:
        return float(predicted.mean())
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        raise BenchmarkError(
            f"all predictions or all gold scores on {benchmark} are equal and have no ranks: "
            "the encoder has collapsed, or the file is wrong"
        )
    if predictions.statistic == "auc":
        return float(_weighted_auc(gold, predicted, np.ones((1, len(gold))))[0])
    from scipy.stats import spearmanr

    return float(spearmanr(gold, predicted).statistic)


def weighted_scores(predictions: Predictions, weights: Floats) -> Floats:
    """Return the score under each row of item weights: (resamples,).

    Args:
        predictions: of the items.
        weights: how often each item counts, (resamples, items).
    """
    if predictions.gold is None:
        result: Floats = weights @ predictions.predicted / weights.sum(axis=1)
        return result
    if predictions.statistic == "auc":
        return _weighted_auc(predictions.gold, predictions.predicted, weights)
    first = _weighted_ranks(predictions.gold, weights)
    second = _weighted_ranks(predictions.predicted, weights)
    return _weighted_pearson(first, second, weights)


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Return the mean ranks (resamples, items) of items that occur `weights` times."""
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
    """Return the AUC of each resample from the ranks of its positive items: (resamples,)."""
    positive = weights * (gold == 1)
    above = positive.sum(axis=1)
    below = weights.sum(axis=1) - above
    ranks = (positive * _weighted_ranks(predicted, weights)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = (ranks - above * (above + 1) / 2) / (above * below)
    return result


def _weighted_pearson(first: Floats, second: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    a = first - (weights * first).sum(axis=1, keepdims=True) / total
    b = second - (weights * second).sum(axis=1, keepdims=True) / total
    shared = (weights * a * b).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = shared / np.sqrt((weights * a * a).sum(1) * (weights * b * b).sum(1))
    return result
