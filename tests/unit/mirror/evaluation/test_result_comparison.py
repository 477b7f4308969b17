"""Comparison of two results that were measured in this process."""

from __future__ import annotations

import numpy as np
import pytest

from mirror.errors import BenchmarkError
from mirror.evaluation.comparison import compare_results, extra_metric_changes
from mirror.evaluation.metrics import Predictions
from mirror.evaluation.result import BenchmarkResult
from mirror.recipe import GateSection

GATE = GateSection(resamples=200)


def ranks(values: list[float]) -> BenchmarkResult:
    predictions = Predictions(("",) * len(values), np.asarray(values))
    score = float(np.mean(values))
    return BenchmarkResult(
        "mrr@10", score, len(values), baselines={"BM25": 0.25}, predictions=predictions
    )


def average(*members: BenchmarkResult) -> BenchmarkResult:
    parts = {f"part{number}": member for number, member in enumerate(members)}
    score = float(np.mean([member.score for member in members]))
    return BenchmarkResult("mrr@10", score, sum(m.n for m in members), members=parts)


def test_a_constant_change_has_an_interval_of_width_zero() -> None:
    before, after = ranks([0.1, 0.5, 0.3] * 10), ranks([0.3, 0.7, 0.5] * 10)
    line = compare_results("search", before, after, GATE)
    assert (line.benchmark, line.metric, line.n) == ("search", "mrr@10", 30)
    assert line.change == pytest.approx(0.2)
    assert (line.low, line.high) == (pytest.approx(0.2), pytest.approx(0.2))
    assert line.baselines == {"BM25": 0.25}


def test_an_uneven_change_has_an_interval_around_it() -> None:
    before, after = ranks([0.0] * 40), ranks([1.0, 0.0] * 20)
    line = compare_results("search", before, after, GATE)
    assert 0.3 < line.low < line.change == 0.5 < line.high < 0.7


def test_an_average_changes_by_the_mean_of_its_parts() -> None:
    before = average(ranks([0.2] * 10), ranks([0.4] * 30))
    after = average(ranks([0.4] * 10), ranks([0.8] * 30))
    line = compare_results("both", before, after, GATE)
    assert line.change == pytest.approx(0.3)
    assert (line.low, line.high) == (pytest.approx(0.3), pytest.approx(0.3))


def test_other_items_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="different items"):
        compare_results("search", ranks([0.1] * 3), ranks([0.1] * 4), GATE)


@pytest.mark.parametrize(
    ("gated", "shown"),
    [(True, [("acc@5", 0.7, 0.8)]), (False, [("acc@1", 0.5, 0.6), ("acc@5", 0.7, 0.8)])],
)
def test_extra_metrics_are_compared_and_so_is_a_score_that_the_gate_does_not_use(
    gated, shown
) -> None:
    before = BenchmarkResult("acc@1", 0.5, 9, extra_metrics={"acc@5": 0.7})
    after = BenchmarkResult("acc@1", 0.6, 9, extra_metrics={"acc@5": 0.8})
    lines = extra_metric_changes(*({"x": each.content(gated)} for each in (before, after)))
    assert [(line.metric, line.before, line.after) for line in lines] == shown
    assert {line.benchmark for line in lines} == {"x"}
