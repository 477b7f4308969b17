"""Significance of improvements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, spearmanr

from mirror.evaluation.metrics import Predictions
from mirror.evaluation.significance import (
    adjusted_p_values,
    improvement_p_value,
    items_that_differ,
)

GENERATOR = np.random.default_rng(7)


def ranks(values: np.ndarray) -> Predictions:
    return Predictions(("",) * len(values), values.astype(np.float64))


@pytest.mark.case("c2")
def test_the_p_value_of_few_better_items_is_that_of_the_sign_test() -> None:
    before = np.zeros(395)
    after = before.copy()
    after[:4] = 0.1
    p = improvement_p_value([(ranks(before), ranks(after))], 20_000)
    assert p == pytest.approx(1 / 16, abs=0.005)
    assert improvement_p_value([(ranks(after), ranks(before))], 1_000) == 1.0
    assert items_that_differ([(ranks(before), ranks(after))]) == 4


def test_the_p_value_of_means_agrees_with_scipys_paired_test() -> None:
    before = GENERATOR.uniform(size=60)
    after = before + GENERATOR.normal(0.03, 0.15, size=60)
    expected = permutation_test(
        (after - before,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    found = improvement_p_value([(ranks(before), ranks(after))], 20_000)
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("statistic", ["spearman", "auc"])
def test_predictions_with_gold_scores_are_compared_by_rank(statistic: str) -> None:
    gold = np.tile([0.0, 1.0], 100) if statistic == "auc" else np.arange(200.0)
    noise = GENERATOR.normal(size=(2, 200))
    scale = 2.0 if statistic == "auc" else 0.03
    weak, strong = gold * scale / 3 + noise[0], gold * scale + noise[1]

    def p(before: np.ndarray, after: np.ndarray) -> float:
        parts = [Predictions(("",) * 200, each, gold, statistic) for each in (before, after)]  # type: ignore[arg-type]
        return improvement_p_value([(parts[0], parts[1])], 1_000)

    assert p(weak, strong) < 0.01
    assert p(strong, weak) > 0.9
    assert p(weak, strong * 1_000 + 5) == p(weak, strong)
    assert p(weak, weak) == 1.0
    if statistic == "spearman":
        assert spearmanr(gold, strong).statistic > spearmanr(gold, weak).statistic


@pytest.mark.parametrize("kind", ["mean", "spearman"])
@pytest.mark.case("c2")
def test_p_values_of_encoders_in_which_nothing_changed_are_uniform(kind: str) -> None:
    gold = np.arange(80.0) if kind == "spearman" else None
    found = []
    for seed in range(300):
        generator = np.random.default_rng([5, seed])
        shared, own = generator.normal(size=80), generator.normal(size=(2, 80))
        values = [(gold / 40 if gold is not None else 0) + shared + 0.5 * each for each in own]
        before, after = (Predictions(("",) * 80, value, gold) for value in values)
        found.append(improvement_p_value([(before, after)], 200))
    for level in (0.05, 0.2, 0.5):
        share = np.mean(np.asarray(found) <= level)
        assert abs(share - level) < 3.5 * np.sqrt(level * (1 - level) / 300)


def test_an_averages_members_count_alike() -> None:
    zeros, ones = np.zeros(20), np.concatenate([np.full(10, 0.4), np.zeros(10)])
    one = improvement_p_value([(ranks(zeros), ranks(ones))], 5_000)
    both = improvement_p_value([(ranks(zeros), ranks(ones)), (ranks(ones), ranks(zeros))], 5_000)
    assert one < 0.01
    assert both == pytest.approx(0.5, abs=0.15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_adjusted_p_values_keep_their_order_and_are_those_of_holm(values: list[float]) -> None:
    adjusted = adjusted_p_values(values)
    order = np.argsort(values, kind="stable")
    count = len(values)
    expected = np.minimum(
        1, np.maximum.accumulate([(count - i) * values[index] for i, index in enumerate(order)])
    )
    assert [adjusted[index] for index in order] == pytest.approx(list(expected))
