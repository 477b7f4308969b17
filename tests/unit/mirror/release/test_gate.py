"""The gate: better than its base, no worse than the champion, not collapsed."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.evaluation.score_change import BaseReading, MetricSummary, ScoreChange
from mirror.evaluation.storage_loss import StorageLoss
from mirror.recipe import Recipe
from mirror.release.gate import GateInput, SmokeTestResult, Verdict, decide
from tests.fixtures.recipes import make_recipe

SOUND = {"mean_cosine": 0.1, "unique_fraction": 1.0}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return make_recipe(evaluation={"benchmarks": ["stsb"]})


FIT = SmokeTestResult(difference=1e-6, milliseconds=4.0, megabytes=14.7)


def judge(recipe: Recipe, base: Any, champion: Any, diagnostics: Any, **more: Any) -> Verdict:
    return decide(recipe, GateInput(base, champion=champion, **diagnostics, **more))


def change(by: float, half: float = 0.01, name: str = "stsb", **more: Any) -> ScoreChange:
    evidence = {"p": 0.004 if by > half else 0.4, "differing": 100, "after_low": 0.4, **more}
    return ScoreChange(name, "spearman", 100, 0.5, 0.5 + by, by, by - half, by + half, **evidence)


def test_the_first_encoder_better_than_its_base_becomes_champion(recipe) -> None:
    verdict = judge(recipe, (change(0.05),), None, SOUND)
    assert verdict.promote
    assert "Significantly better than the base, by +0.050" in verdict.reasons[0]
    assert "no champion to compare with" in verdict.reasons[1]


@pytest.mark.case("c1")
def test_worse_than_its_base_is_refused_with_numbers(recipe) -> None:
    verdict = judge(recipe, (change(-0.05),), None, SOUND)
    assert not verdict.promote
    assert "-0.050" in verdict.reasons[0]


def test_within_noise_of_its_base_is_refused(recipe) -> None:
    verdict = judge(recipe, (change(0.005),), None, SOUND)
    assert not verdict.promote
    assert "No significant improvement over the base" in verdict.reasons[0]


def test_one_benchmark_much_worse_refuses_though_the_mean_is_better(recipe) -> None:
    verdict = judge(recipe, (change(0.2), change(-0.05, name="words")), None, SOUND)
    assert not verdict.promote
    assert "Worse than the base on words" in verdict.reasons[0]


def test_a_small_significant_loss_to_the_champion_is_tolerated_and_reported(recipe) -> None:
    verdict = judge(recipe, (change(0.05),), (change(-0.008, half=0.001),), SOUND)
    assert verdict.promote
    assert any("within the tolerance" in reason for reason in verdict.reasons)


@pytest.mark.case("c16")
def test_a_champion_tuned_on_what_it_is_judged_by_is_reported(recipe) -> None:
    reason = "10% of the documents were held out then, and 25% are now"
    verdict = judge(recipe, (change(0.05),), (change(-0.03),), SOUND, champion_overlap=reason)
    assert verdict.reasons[-1] == (
        "The champion may have been tuned on documents that it is judged by, which favours it: "
        "10% of the documents were held out then, and 25% are now."
    )


def test_a_loss_that_no_benchmark_would_show_is_reported(recipe) -> None:
    reason = 'no benchmark measures general quality: write guard = "stsb"'
    verdict = judge(recipe, (change(0.05),), None, SOUND, unseen_loss=reason)
    assert verdict.promote
    assert verdict.reasons[-1] == ('No benchmark measures general quality: write guard = "stsb".')


def test_a_significant_loss_to_the_champion_is_refused(recipe) -> None:
    verdict = judge(recipe, (change(0.05),), (change(-0.03),), SOUND)
    assert not verdict.promote
    assert "Worse than the champion" in verdict.reasons[0]


def test_an_insignificant_loss_to_the_champion_is_accepted(recipe) -> None:
    assert judge(recipe, (change(0.05),), (change(-0.03, half=0.05),), SOUND).promote


@pytest.mark.parametrize(
    ("diagnostics", "message"),
    [
        ({"mean_cosine": 0.999, "unique_fraction": 1.0}, "collapsed"),
        ({"mean_cosine": float("nan"), "unique_fraction": 1.0}, "collapsed"),
        ({"mean_cosine": 0.1, "unique_fraction": 0.2}, "20% of distinct strings"),
    ],
)
def test_collapse_is_refused_whatever_the_scores(recipe, diagnostics, message) -> None:
    verdict = judge(recipe, (change(0.3),), None, diagnostics)
    assert not verdict.promote
    assert message in verdict.reasons[0]


@pytest.mark.case("c5")
def test_a_score_that_is_no_number_is_refused(recipe) -> None:
    nan = float("nan")
    verdict = judge(
        recipe, (ScoreChange("stsb", "spearman", 9, 0.5, nan, nan, nan, nan),), None, SOUND
    )
    assert not verdict.promote
    assert "not a number" in verdict.reasons[0]


def test_an_interval_that_is_no_number_is_refused(recipe) -> None:
    nan = float("nan")
    unknown = ScoreChange("stsb", "spearman", 9, 0.5, 0.55, 0.05, nan, nan)
    for base, champion in (
        ((change(0.1, name="words"), unknown), None),
        ((change(0.1),), (unknown,)),
    ):
        verdict = judge(recipe, base, champion, SOUND)
        assert not verdict.promote
        assert "is not a number on stsb" in verdict.reasons[0]


def test_a_score_below_bm25_is_reported(recipe) -> None:
    verdict = judge(recipe, (change(0.05, baselines={"BM25": 0.7}),), None, SOUND)
    assert verdict.promote
    assert "BM25" in verdict.reasons[-1]
    assert "0.700" in verdict.reasons[-1]
    better = judge(recipe, (change(0.05, baselines={"BM25": 0.4}),), None, SOUND)
    assert not any("BM25" in reason for reason in better.reasons)


@pytest.mark.parametrize(
    ("joined", "where"),
    [((0.75, 0.65), "everywhere"), ((0.75, 0.6), "on stsb"), ((0.704, 0.6001), "nowhere")],
)
def test_a_sentence_says_whether_the_encoder_adds_to_bm25(recipe, joined, where) -> None:
    changes = tuple(
        change(0.05, name=name, baselines={"BM25": alone}, joined={"BM25": both})
        for name, alone, both in zip(("stsb", "halves"), (0.7, 0.6), joined, strict=True)
    )
    reason = judge(recipe, changes, None, SOUND).reasons[-1]
    assert reason.startswith(f"Joined with BM25 by reciprocal ranks it adds to BM25 {where}: ")
    alone = [f" (the encoder alone {change.after:.3f})" for change in changes]
    assert f"stsb 0.700 to {joined[0]:.3f}{alone[0]}; " in reason
    assert reason.endswith(f"halves 0.600 to {joined[1]:.3f}{alone[1]}.")


def test_another_baseline_than_bm25_is_reported_by_its_name(recipe) -> None:
    verdict = judge(recipe, (change(0.05, baselines={"exact match": 0.7}),), None, SOUND)
    assert "exact match scores 0.700" in verdict.reasons[-1]
    assert "word matching" not in verdict.reasons[-1]


def with_gate(recipe: Recipe, **changes: Any) -> Recipe:
    gate = recipe.evaluation.gate.model_copy(update=changes)
    return recipe.model_copy(
        update={"evaluation": recipe.evaluation.model_copy(update={"gate": gate})}
    )


def test_a_subset_worse_than_the_champions_is_refused(recipe) -> None:
    slices = (change(0.05, name="sts, sts12"), change(-0.03, name="sts, sts13"))
    verdict = judge(recipe, (change(0.05),), (change(0.02),), SOUND, slices=slices)
    assert not verdict.promote
    assert verdict.reasons[0].startswith("Worse than the champion on sts, sts13")
    assert verdict.input.slices == slices


def test_subsets_have_a_separate_tolerance(recipe) -> None:
    slices = (change(-0.03, name="sts, sts13"),)
    looser = with_gate(recipe, slice_tolerance=0.03)
    assert judge(looser, (change(0.05),), (change(0.02),), SOUND, slices=slices).promote
    unsure = (change(-0.03, half=0.05, name="sts, sts13"),)
    assert judge(recipe, (change(0.05),), (change(0.02),), SOUND, slices=unsure).promote


def test_an_encoder_within_the_limits_passes(recipe) -> None:
    bounded = with_gate(recipe, max_megabytes=15.0, max_milliseconds=5.0)
    verdict = judge(bounded, (change(0.05),), None, SOUND, smoke_test=FIT)
    assert verdict.promote
    assert verdict.input.smoke_test == FIT


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_megabytes": 14.0}, "It takes 14.7 MB; the recipe allows 14"),
        ({"max_milliseconds": 3.5}, "One text takes 4.0 ms; the recipe allows 3.5"),
    ],
)
def test_an_encoder_that_is_too_large_or_slow_is_refused(recipe, bounds, message) -> None:
    verdict = judge(with_gate(recipe, **bounds), (change(0.05),), None, SOUND, smoke_test=FIT)
    assert not verdict.promote
    assert message in verdict.reasons[0]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (SmokeTestResult(fault="no answer within 300 seconds"), "smoke test failed"),
        (SmokeTestResult(difference=0.01, milliseconds=4.0, megabytes=1.0), "other vectors"),
    ],
)
def test_a_failed_smoke_test_is_refused_despite_good_scores(recipe, result, message) -> None:
    verdict = judge(recipe, (change(0.3),), None, SOUND, smoke_test=result)
    assert not verdict.promote
    assert message in verdict.reasons[0]


def reading(words: str, score: float) -> BaseReading:
    return BaseReading(words, {"stsb": score}, "digest")


@pytest.mark.case("c1")
def test_a_refusal_names_the_bases_best_reading_and_its_score(recipe) -> None:
    readings = (
        reading("with its own settings (mean pooling)", 0.604),
        reading("with cls pooling as in this recipe", 0.499),
    )
    change = ScoreChange("stsb", "spearman", 100, 0.604, 0.56, -0.044, -0.05, -0.04)
    verdict = judge(recipe, (change,), None, SOUND, readings=readings)
    assert not verdict.promote
    assert verdict.reasons[0] == (
        "No improvement over the base with its own settings (mean pooling): it scores 0.604, the "
        "tuned encoder 0.560; the mean change is -0.044."
    )
    assert verdict.reasons[-1] == "The base with cls pooling as in this recipe scores 0.499."


def test_a_promotion_names_the_bases_best_reading(recipe) -> None:
    readings = (reading("with cls pooling", 0.5), reading("with mean pooling", 0.4))
    verdict = judge(recipe, (change(0.05),), None, SOUND, readings=readings)
    assert verdict.promote
    assert verdict.reasons[0].startswith(
        "Significantly better than the base with cls pooling, by +0.050"
    )
    assert verdict.reasons[-1] == "The base with mean pooling scores 0.400."


@pytest.mark.parametrize(
    ("after", "promoted"), [(0.70, True), (0.6901, True), (0.68, False), (float("nan"), False)]
)
def test_a_guard_may_fall_by_its_tolerance(recipe, after, promoted) -> None:
    guard = MetricSummary("sts-general", "spearman", 0.70, after)
    verdict = decide(recipe, GateInput(base=(change(0.1),), guard=guard))
    assert verdict.promote is promoted
    (reason,) = [reason for reason in verdict.reasons if "sts-general" in reason]
    assert f"from 0.700 to {after:.3f}" in reason
    assert ("evaluation.guard_tolerance" in reason) is not promoted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"differing": 9}, "9 of 100 items differ"),
        ({"chance": 0.45}, "no better than chance (0.450)"),
        ({"p": 0.051}, "p = 0.051"),
    ],
)
@pytest.mark.case("c2")
def test_a_change_without_evidence_is_no_improvement(recipe, changes, words) -> None:
    verdict = judge(recipe, (change(0.05, **changes),), None, SOUND)
    assert not verdict.promote
    assert "No significant improvement over the base" in verdict.reasons[0]
    assert words in verdict.reasons[0]


@pytest.mark.case("c2")
def test_p_values_are_corrected_for_the_number_of_benchmarks(recipe) -> None:
    one = change(0.05, p=0.03)
    assert judge(recipe, (one,), None, SOUND).promote
    three = (one, change(0.01, name="b"), change(0.01, name="c"))
    verdict = judge(recipe, three, None, SOUND)
    assert not verdict.promote
    assert "corrected for 3 benchmarks" in verdict.reasons[0]
    assert judge(recipe, (change(0.05, p=0.016), *three[1:]), None, SOUND).promote


@pytest.mark.case("c2")
def test_a_gain_below_the_least_is_refused_however_sure(recipe) -> None:
    verdict = judge(recipe, (change(0.004, half=0.001),), None, SOUND)
    assert not verdict.promote
    assert "is +0.0040, below the least gain" in verdict.reasons[0]
    lower = with_gate(recipe, least_gain=0.004)
    assert judge(lower, (change(0.0041, half=0.001),), None, SOUND).promote


def test_the_cost_of_smaller_vectors_is_in_the_verdict(recipe) -> None:
    loss = StorageLoss("128 of 256 dimensions", (change(-0.002),))
    for by in (0.05, -0.05):
        verdict = judge(recipe, (change(by),), None, SOUND, storage=(loss,))
        assert str(loss) in verdict.reasons
