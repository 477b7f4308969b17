"""The gate: better than its base, no worse than the champion, not collapsed."""

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
from mirror.gate import Difference, compare, decide
from mirror.recipe import GateSection, Recipe, parse_recipe
from mirror.store import StageRecord

SOUND = {"mean_cosine": 0.1, "different": 1.0}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    content = {
        "language": "en",
        "domain": "trials",
        "level": "sentence",
        "corpus": {"source": "files", "paths": ["x"]},
        "base": {"path": "x"},
        "evaluation": {"benchmarks": ["stsb"]},
        "registry": {"model": "m"},
    }
    return parse_recipe(content, name="trial", place="trial.toml")


def change(by: float, half: float = 0.01, name: str = "stsb", **more: Any) -> Difference:
    return Difference(name, 0.5, 0.5 + by, by, by - half, by + half, 100, **more)


def test_the_first_encoder_better_than_its_base_becomes_champion(recipe) -> None:
    verdict = decide(recipe, (change(0.05),), None, SOUND)
    assert verdict.promote
    assert "Better than its base by +0.050" in verdict.reasons[0]
    assert "no champion yet" in verdict.reasons[1]


def test_worse_than_its_base_is_refused_with_numbers(recipe) -> None:
    verdict = decide(recipe, (change(-0.05),), None, SOUND)
    assert not verdict.promote
    assert "-0.050" in verdict.reasons[0]


def test_within_noise_of_its_base_is_refused(recipe) -> None:
    verdict = decide(recipe, (change(0.005),), None, SOUND)
    assert not verdict.promote
    assert "Not surely better" in verdict.reasons[0]


def test_one_benchmark_much_worse_refuses_though_the_mean_is_better(recipe) -> None:
    verdict = decide(recipe, (change(0.2), change(-0.05, name="words")), None, SOUND)
    assert not verdict.promote
    assert "Worse than its base on words" in verdict.reasons[0]


def test_a_small_sure_loss_to_the_champion_is_tolerated_and_told(recipe) -> None:
    verdict = decide(recipe, (change(0.05),), (change(-0.008, half=0.001),), SOUND)
    assert verdict.promote
    assert any("within the tolerance" in reason for reason in verdict.reasons)


def test_a_sure_loss_to_the_champion_is_refused(recipe) -> None:
    verdict = decide(recipe, (change(0.05),), (change(-0.03),), SOUND)
    assert not verdict.promote
    assert "Worse than today's champion" in verdict.reasons[0]


def test_an_unsure_loss_to_the_champion_is_no_loss(recipe) -> None:
    assert decide(recipe, (change(0.05),), (change(-0.03, half=0.05),), SOUND).promote


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ({"mean_cosine": 0.999, "different": 1.0}, "collapsed"),
        ({"mean_cosine": float("nan"), "different": 1.0}, "collapsed"),
        ({"mean_cosine": 0.1, "different": 0.2}, "20% of different strings"),
    ],
)
def test_collapse_is_refused_whatever_the_scores(recipe, looks, said) -> None:
    verdict = decide(recipe, (change(0.3),), None, looks)
    assert not verdict.promote
    assert said in verdict.reasons[0]


def test_a_score_that_is_no_number_is_refused(recipe) -> None:
    nan = float("nan")
    verdict = decide(recipe, (Difference("stsb", 0.5, nan, nan, nan, nan, 9),), None, SOUND)
    assert not verdict.promote
    assert "not a number" in verdict.reasons[0]


def test_an_interval_that_is_no_number_is_refused(recipe) -> None:
    nan = float("nan")
    unknown = Difference("stsb", 0.5, 0.55, 0.05, nan, nan, 9)
    for base, champion in (
        ((change(0.1, name="words"), unknown), None),
        ((change(0.1),), (unknown,)),
    ):
        verdict = decide(recipe, base, champion, SOUND)
        assert not verdict.promote
        assert "not made of numbers on stsb" in verdict.reasons[0]


def test_losing_to_bm25_never_looks_good(recipe) -> None:
    verdict = decide(recipe, (change(0.05, beside={"bm25": 0.7}),), None, SOUND)
    assert verdict.promote
    assert "BM25" in verdict.reasons[-1]
    assert "0.700" in verdict.reasons[-1]
    better = decide(recipe, (change(0.05, beside={"bm25": 0.4}),), None, SOUND)
    assert not any("BM25" in reason for reason in better.reasons)


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
        scores = {"x": {"metric": "spearman", "score": score, "n": 200, "beside": {"bm25": 0.3}}}
        places.append(evaluation(tmp_path / name, scores, {"x": (predicted, gold)}))
    (found,) = compare(places[0], places[1], GateSection())
    assert (found.before, found.after, found.n) == (0.4, 0.9, 200)
    assert found.change == pytest.approx(0.5)
    assert 0.2 < found.low < found.high < 0.8
    assert found.beside == {"bm25": 0.3}


def test_an_average_is_compared_over_its_members(tmp_path: Path) -> None:
    places = []
    for name, lift in (("a", 0.0), ("b", 0.5)):
        whole = {"metric": "spearman", "score": 0.25 + lift / 2, "n": 40}
        scores = {"avg": {**whole, "of": ["x", "y"]}}
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


def test_what_is_not_gated_neither_promotes_nor_blocks(tmp_path: Path) -> None:
    places = []
    for name, score in (("a", 0.9), ("b", 0.1)):
        scores = {
            "space": {"metric": "isotropy", "score": score, "n": 9, "gated": False},
            "x": {"metric": "mrr@10", "score": 1 - score, "n": 30, "gated": True},
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


def test_a_drop_on_a_benchmark_of_rare_scores_is_refused(recipe, tmp_path: Path) -> None:
    good, bad = rare_scores(tmp_path / "good", 4.0), rare_scores(tmp_path / "bad", -4.0)
    gate = GateSection(resamples=1_000)
    verdict = decide(recipe, (change(0.5), *compare(good, bad, gate)), None, SOUND)
    assert not verdict.promote
    assert "Worse than its base on rare" in verdict.reasons[0]
    gain = compare(bad, good, gate)
    assert gain[0].low > 0
    assert decide(recipe, gain, None, SOUND).promote


def test_evaluations_of_different_items_are_not_compared(tmp_path: Path) -> None:
    places = [
        evaluation(
            tmp_path / str(n),
            {"x": {"metric": "mrr@10", "score": 1, "n": n}},
            {"x": ([0.5] * n, [None] * n)},
        )
        for n in (3, 4)
    ]
    with pytest.raises(BenchmarkError, match="x was measured on different items"):
        compare(places[0], places[1], GateSection())
