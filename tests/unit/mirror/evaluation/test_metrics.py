"""Scores and their bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, spearmanr

from mirror.errors import BenchmarkError
from mirror.evaluation.bootstrap import Estimate, mean_interval, paired_bootstrap, score_replicates
from mirror.evaluation.metrics import Predictions, cosines, score, statistic_of


def pairs(predicted, gold=None) -> Predictions:
    gold = None if gold is None else np.asarray(gold, float)
    return Predictions(("",) * len(predicted), np.asarray(predicted, float), gold)


def bootstrap(before: Predictions, after: Predictions, **how) -> Estimate:
    change = float(after.predicted.mean() - before.predicted.mean())
    return paired_bootstrap([(before, after)], change, "x", **how)


def test_spearman_matches_a_value_computed_by_hand() -> None:
    assert score(pairs([0.1, 0.2, 0.3, 0.9], [1, 2, 4, 3]), "x") == pytest.approx(0.8)


def test_a_score_of_items_own_scores_is_their_mean() -> None:
    assert score(pairs([1, 0.5, 0]), "x") == 0.5


def test_cosines_are_of_rows() -> None:
    a, b = np.array([[3, 4], [1, 0]], np.float32), np.array([[4, 3], [0, 2]], np.float32)
    assert cosines(a, b) == pytest.approx([24 / 25, 0])


@pytest.mark.parametrize(
    ("predicted", "message"),
    [([0.1, float("nan")], "not numbers"), ([0.3, 0.3], "all predictions"), ([], "no items")],
)
def test_predictions_that_cannot_be_ranked_are_an_error(predicted, message) -> None:
    with pytest.raises(BenchmarkError, match=message):
        score(pairs(predicted, range(len(predicted))), "x")


def test_zero_vectors_are_an_error() -> None:
    zero = np.zeros((2, 3), np.float32)
    with pytest.raises(BenchmarkError, match="2 of 2"):
        score(pairs(cosines(zero, zero), [1, 2]), "x")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=6, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_replicates_are_spearman_of_the_resampled_items(items, seed) -> None:
    gold, predicted = (np.asarray(side, float) for side in zip(*items, strict=True))
    replicates = score_replicates(pairs(predicted, gold), 3)
    generator = np.random.default_rng([20_210_908, len(gold)])
    weights = generator.multinomial(len(gold), np.full(len(gold), 1 / len(gold)), size=3)
    for replicate, row in zip(replicates, weights, strict=True):
        again = np.repeat(np.arange(len(gold)), row)
        if np.ptp(gold[again]) == 0 or np.ptp(predicted[again]) == 0:
            assert np.isnan(replicate)
        else:
            assert replicate == pytest.approx(spearmanr(gold[again], predicted[again])[0])


def labelled(items) -> Predictions:
    """Predictions and labels of 1 and 0."""
    predicted, gold = (np.asarray(side, float) for side in zip(*items, strict=True))
    return Predictions(("",) * len(predicted), predicted, gold, "auc")


def area(predicted, gold) -> float:
    """The AUC by scipy's Mann-Whitney U."""
    above, below = predicted[gold == 1], predicted[gold == 0]
    return float(mannwhitneyu(above, below).statistic) / (len(above) * len(below))


def test_auc_matches_a_value_computed_by_hand() -> None:
    # Of 4 pairs of a positive and a negative item two are in order and one is equal.
    assert score(labelled([(0.4, 0), (0.1, 0), (0.4, 1), (0.3, 1)]), "x") == 2.5 / 4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=6, max_size=40))
def test_auc_and_its_replicates_are_mann_whitneys_with_ties(items) -> None:
    found = labelled(items)
    gold, predicted = found.gold, found.predicted
    if np.ptp(gold) and np.ptp(predicted):
        assert score(found, "x") == pytest.approx(area(predicted, gold))
    generator = np.random.default_rng([20_210_908, len(gold)])
    weights = generator.multinomial(len(gold), np.full(len(gold), 1 / len(gold)), size=3)
    for replicate, row in zip(score_replicates(found, 3), weights, strict=True):
        again = np.repeat(np.arange(len(gold)), row)
        if np.ptp(gold[again]) == 0:
            assert np.isnan(replicate)
        else:
            assert replicate == pytest.approx(area(predicted[again], gold[again]))


def test_the_interval_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        before, after = rng.normal(size=60), rng.normal(0.3, size=60)
        found = bootstrap(pairs(before), pairs(after), resamples=400, confidence=0.9)
        covered += found.low <= 0.3 <= found.high
    assert 165 <= covered <= 193


def test_pairing_makes_the_interval_narrower_than_chance_alone() -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(size=500)
    before, after = hard + rng.normal(0, 0.05, 500), hard + 0.02 + rng.normal(0, 0.05, 500)
    found = bootstrap(pairs(before), pairs(after), resamples=500, confidence=0.95)
    assert found.low > 0
    assert found.high - found.low < 0.02
    assert found.mean == pytest.approx(after.mean() - before.mean())


def test_equal_predictions_give_a_change_of_zero() -> None:
    rng = np.random.default_rng(2)
    same = pairs(rng.normal(size=50), rng.normal(size=50))
    found = bootstrap(same, same, resamples=100, confidence=0.95)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_the_same_call_gives_the_same_interval() -> None:
    rng = np.random.default_rng(3)
    a, b = pairs(rng.normal(size=80)), pairs(rng.normal(size=80))
    first, second = (bootstrap(a, b, resamples=150, confidence=0.95) for _ in range(2))
    assert first == second


def test_the_interval_of_a_mean_is_that_of_a_change_from_zero() -> None:
    values = np.random.default_rng(6).normal(size=70)
    estimate = mean_interval(values, resamples=300, confidence=0.9)
    zero = pairs(np.zeros(70))
    assert estimate == bootstrap(zero, pairs(values), resamples=300, confidence=0.9)


def rare(positives: int, lift: float, items: int = 1_000) -> Predictions:
    gold = np.arange(items) < positives
    noise = np.random.default_rng(4).normal(size=items)
    return pairs(noise + lift * gold, gold)


def test_resamples_without_a_rare_score_are_left_out_of_the_interval() -> None:
    assert np.isnan(score_replicates(rare(5, 3.0), 1_000)).any()
    found = bootstrap(rare(5, 0.0), rare(5, 3.0), resamples=1_000, confidence=0.95)
    assert 0 < found.low < found.high < 0.3


def test_almost_constant_scores_cannot_be_compared() -> None:
    with pytest.raises(BenchmarkError, match=r"on x: in 1\d% of its resamples"):
        bootstrap(rare(2, 0.0), rare(2, 3.0), resamples=1_000, confidence=0.95)


@pytest.mark.parametrize("metric", ["spearman", "auc"])
def test_a_metric_of_gold_scores_names_its_statistic(metric: str) -> None:
    assert statistic_of(metric) == metric


def test_a_metric_without_gold_scores_has_no_statistic() -> None:
    with pytest.raises(BenchmarkError, match="'kendall' does not compare predictions with gold"):
        statistic_of("kendall")
