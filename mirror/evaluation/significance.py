"""Significance of an improvement: paired permutation tests, corrected for several benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirror.evaluation.metrics import Floats, Predictions

CHUNK = 100
"""Permutations computed at a time; bounds memory."""
SEED = 20_211_107


def improvement_p_value(
    parts: Sequence[tuple[Predictions, Predictions]], permutations: int
) -> float:
    """Return the one-sided p-value of an improvement, by a paired permutation test.

    If nothing changed, it is a matter of chance which encoder gave which of an item's two
    predictions: they are exchanged at random, and p is the share of permutations whose mean change
    is at least the observed one, which counts as one of them (Phipson and Smyth 2010).  Cosines of
    two encoders have different scales, so predictions that are compared with gold scores are
    replaced by their ranks first.

    Args:
        parts: finite predictions before and after, of one benchmark or of an average's members.
        permutations: drawn with a fixed seed.
    """
    observed, permuted = 0.0, np.zeros(permutations)
    for number, (before, after) in enumerate(parts):
        pair = _comparable(before, after)
        observed += float(_changes(pair, before, np.zeros((1, len(pair[0])), dtype=bool))[0])
        permuted += _permuted_changes(pair, before, permutations, number)
    # Sums of the same numbers in another order may differ in the last digits.
    extreme = permuted >= observed - 1e-12 * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(extreme)) / (1 + permutations))


def items_that_differ(parts: Sequence[tuple[Predictions, Predictions]]) -> int:
    """Return the number of items on which two encoders' predictions differ."""
    return sum(
        int(np.count_nonzero(before.predicted != after.predicted)) for before, after in parts
    )


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method (1979).

    The chance of a false claim on any of them stays below the level that they are compared with,
    whatever depends on what.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _comparable(before: Predictions, after: Predictions) -> tuple[Floats, Floats]:
    if before.gold is None:
        return before.predicted, after.predicted
    from scipy.stats import rankdata

    return rankdata(before.predicted), rankdata(after.predicted)


def _permuted_changes(
    pair: tuple[Floats, Floats], predictions: Predictions, permutations: int, number: int
) -> Floats:
    generator = np.random.default_rng([SEED, number])
    changes = []
    for start in range(0, permutations, CHUNK):
        size = (min(CHUNK, permutations - start), len(pair[0]))
        exchanged = generator.integers(0, 2, size=size, dtype=np.int8).astype(bool)
        changes.append(_changes(pair, predictions, exchanged))
    return np.concatenate(changes)


def _changes(
    pair: tuple[Floats, Floats], predictions: Predictions, exchanged: NDArray[np.bool_]
) -> Floats:
    """Return the change of the score under each exchange of predictions: (permutations,)."""
    first, second = pair
    if predictions.gold is None:
        differences = second - first
        result: Floats = np.where(exchanged, -differences, differences).mean(axis=1)
        return result
    before = np.where(exchanged, second, first)
    after = np.where(exchanged, first, second)
    gold = predictions.gold
    if predictions.statistic == "auc":
        return _auc(gold, after) - _auc(gold, before)
    return _spearman(gold, after) - _spearman(gold, before)


def _spearman(gold: Floats, predicted: Floats) -> Floats:
    from scipy.stats import rankdata

    first = rankdata(gold) - (len(gold) + 1) / 2
    second = rankdata(predicted, axis=1) - (len(gold) + 1) / 2
    norms = np.sqrt((first**2).sum() * (second**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = second @ first / norms
    return np.nan_to_num(result)


def _auc(gold: Floats, predicted: Floats) -> Floats:
    from scipy.stats import rankdata

    positive = gold == 1
    above, below = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(predicted, axis=1)[:, positive].sum(axis=1)
    result: Floats = (ranks - above * (above + 1) / 2) / max(above * below, 1)
    return result
