"""Two evaluations or results, benchmark by benchmark and slice by slice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.comparison import (
    compare,
    compare_results,
    compare_slices,
    extra_metric_changes,
    joined_scores,
)
from mirror.evaluation.metrics import Predictions
from mirror.evaluation.result import BenchmarkResult
from mirror.recipe import GateSection
from mirror.store import StageRecord

GATE = GateSection(resamples=200)


def evaluation(folder: Path, scores: dict[str, Any], predicted: dict[str, Any]) -> StageRecord:
    (folder / "predictions").mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(scores))
    for name, (values, gold) in predicted.items():
        table = pa.table(
            {
                "item": list(range(len(values))),
                "subset": [""] * len(values),
                "gold": pa.array(gold, pa.float64()),
                "predicted": values,
            }
        )
        pq.write_table(table, folder / "predictions" / f"{name}.parquet")
    return StageRecord("evaluation", "k", str(folder), str(folder))


def test_compare_reads_two_evaluations(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gold = rng.normal(size=200)
    noisy, clean = gold + rng.normal(0, 2, 200), gold + rng.normal(0, 0.5, 200)
    places = []
    for name, predicted, score in (("a", noisy, 0.4), ("b", clean, 0.9)):
        scores = {"x": {"metric": "spearman", "score": score, "n": 200, "baselines": {"BM25": 0.3}}}
        places.append(evaluation(tmp_path / name, scores, {"x": (predicted, gold)}))
    (found,) = compare(places[0], places[1], GateSection())
    assert (found.before, found.after, found.n) == (0.4, 0.9, 200)
    assert found.change == pytest.approx(0.5)
    assert 0.2 < found.low < found.high < 0.8
    assert found.baselines == {"BM25": 0.3}


def test_an_average_is_compared_over_its_members(tmp_path: Path) -> None:
    places = []
    for name, lift in (("a", 0.0), ("b", 0.5)):
        whole = {"metric": "spearman", "score": 0.25 + lift / 2, "n": 40}
        parts = {"x": {"score": 0.5, "n": 20}, "y": {"score": lift, "n": 20}}
        scores = {"avg": {**whole, "members": ["x", "y"], "subsets": parts}}
        own = {"x": ([0.5] * 20, [None] * 20), "y": ([lift] * 20, [None] * 20)}
        places.append(evaluation(tmp_path / name, scores, own))
    (found,) = compare(places[0], places[1], GateSection())
    assert (found.change, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_labels_are_compared_by_auc(tmp_path: Path) -> None:
    labels, order = [0.0, 0.0, 1.0, 1.0] * 20, np.arange(4.0)
    places = []
    for name, score, predicted in (("a", 0.0, -order), ("b", 1.0, order)):
        scores = {"x": {"metric": "auc", "score": score, "n": 80}}
        own = {"x": (np.tile(predicted, 20), labels)}
        places.append(evaluation(tmp_path / name, scores, own))
    (found,) = compare(places[0], places[1], GateSection())
    # Every resample is in order on one side and reversed on the other, which Spearman calls ±0.9.
    assert (found.change, found.low, found.high) == pytest.approx((1, 1, 1))


def test_ungated_benchmarks_neither_promote_nor_block(tmp_path: Path) -> None:
    places = []
    for name, score in (("a", 0.9), ("b", 0.1)):
        scores = {
            "space": {"metric": "isotropy", "score": score, "n": 9, "used_by_gate": False},
            "x": {"metric": "mrr@10", "score": 1 - score, "n": 30, "used_by_gate": True},
        }
        places.append(evaluation(tmp_path / name, scores, {"x": ([1 - score] * 30, [None] * 30)}))
    found = compare(places[0], places[1], GateSection())
    assert [one.benchmark for one in found] == ["x"]
    assert found[0].change == pytest.approx(0.8)


def test_evaluations_of_different_benchmarks_are_not_compared(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "a", {"x": {"score": 1, "n": 1}}, {})
    two = evaluation(tmp_path / "b", {"y": {"score": 1, "n": 1}}, {})
    with pytest.raises(StoreError, match="different benchmarks"):
        compare(one, two, GateSection())


def rare_scores(folder: Path, lift: float) -> StageRecord:
    gold = (np.arange(1_000) < 5).astype(float)
    predicted = np.random.default_rng(4).normal(size=1_000) + lift * gold
    score = float(spearmanr(gold, predicted)[0])
    scores = {"rare": {"metric": "spearman", "score": score, "n": 1_000}}
    return evaluation(folder, scores, {"rare": (predicted, gold)})


def sliced(folder: Path, lift: float, sizes: tuple[int, int] = (120, 60)) -> StageRecord:
    """Items of two slices, of which the second is `lift` better."""
    names = ["north"] * sizes[0] + ["south"] * sizes[1]
    values = np.tile([0.2, 0.4], sum(sizes) // 2) + np.where(np.array(names) == "south", lift, 0)
    means = [float(values[np.array(names) == name].mean()) for name in ("north", "south")]
    subsets = {
        name: {"score": mean, "n": size}
        for name, mean, size in zip(("north", "south"), means, sizes, strict=True)
    }
    whole = {"metric": "mrr@10", "score": float(values.mean()), "n": sum(sizes)}
    record = evaluation(
        folder, {"x": {**whole, "subsets": subsets}}, {"x": (values, [None] * sum(sizes))}
    )
    path = folder / "predictions" / "x.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "subset", pa.array(names)), path)
    return record


def test_slices_are_compared_each_by_itself(tmp_path: Path) -> None:
    before, after = sliced(tmp_path / "a", 0.0), sliced(tmp_path / "b", 0.125)
    north, south = compare_slices(before, after, GateSection())
    assert (north.benchmark, north.n) == ("x, north", 120)
    assert (north.change, north.low, north.high) == (0, 0, 0)
    assert (south.benchmark, south.n) == ("x, south", 60)
    assert (south.change, south.low, south.high) == pytest.approx((0.125, 0.125, 0.125))
    assert (south.before, south.after) == pytest.approx((0.3, 0.425))


def test_small_and_single_subsets_are_not_compared(tmp_path: Path) -> None:
    small = [sliced(tmp_path / name, lift, (120, 48)) for name, lift in (("a", 0), ("b", 1))]
    assert [found.benchmark for found in compare_slices(*small, GateSection())] == ["x, north"]


def test_an_averages_members_are_its_slices(tmp_path: Path) -> None:
    places = []
    for name, lift in (("a", 0.0), ("b", 0.5)):
        parts = {"x": {"score": 0.5, "n": 60}, "y": {"score": lift, "n": 60}}
        whole = {"metric": "spearman", "score": 0.25 + lift / 2, "n": 120}
        scores = {"avg": {**whole, "members": ["x", "y"], "subsets": parts}}
        own = {"x": ([0.5] * 60, [None] * 60), "y": ([lift] * 60, [None] * 60)}
        places.append(evaluation(tmp_path / name, scores, own))
    x, y = compare_slices(*places, GateSection())
    assert (x.benchmark, x.change, y.benchmark, y.change) == ("avg, x", 0, "avg, y", 0.5)


def test_a_drop_on_a_benchmark_of_rare_scores_is_seen(tmp_path: Path) -> None:
    good, bad = rare_scores(tmp_path / "good", 4.0), rare_scores(tmp_path / "bad", -4.0)
    gate = GateSection(resamples=1_000)
    [loss], [gain] = compare(good, bad, gate), compare(bad, good, gate)
    assert loss.high < 0
    assert gain.low > 0


def test_scores_joined_with_a_baseline_go_by_its_name() -> None:
    assert joined_scores({"BM25": 0.5, "exact match": 0.1}, {"with BM25": 0.6, "acc@5": 0.9}) == {
        "BM25": 0.6
    }


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
