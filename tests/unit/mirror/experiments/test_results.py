"""A study's numbers: over seeds, beside the paper's, in a table and a figure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.experiments.figure import draw_figure, panels_of
from mirror.experiments.plan import StudyPlan, VariantRuns
from mirror.experiments.results import StudyOutcome, conclude, markdown, number, write_outcome
from mirror.experiments.study import find_study
from mirror.experiments.trial import Trial, TrialResult, with_changes
from mirror.recipe import parse_recipe
from mirror.store import StageRecord

BASE = EncoderRef("/bases/tiny", "b" * 64, "tiny")
SEEDS = (1, 2)
TABLE_9 = "sample-space: isotropy, table 9"


def plan_of(name: str) -> StudyPlan:
    """A plan that was never checked, and so needs no base and no data."""
    study = find_study(name)
    cases = []
    for level in study.levels:
        content = {
            "language": "en",
            "domain": "x",
            "level": level,
            "corpus": {"source": "docstrings"},
            "base": {"path": "x"},
            "evaluation": {
                "benchmarks": ["stsb", *(["sample-space"] if study.extra_metrics else [])]
            },
            "registry": {"model": "x"},
        }
        recipe = parse_recipe(content, name="x", place="the test")
        for point in study.all_points:
            trials = tuple(
                Trial(f"{level}, {point.label}", with_changes(recipe, {"tuning.seed": seed}), BASE)
                for seed in SEEDS
            )
            cases.append(VariantRuns(level, point, trials))
    return StudyPlan(study, dict.fromkeys(study.levels, BASE), SEEDS, tuple(cases))


def result_of(trial: Trial, score: float) -> TrialResult:
    record = StageRecord("evaluation", "k", "/made", "d")
    scores = {"stsb": score, "sample-space": score / 2}
    beside = {"isotropy, table 9": score / 4, "mean vector norm": 10 * score, "alignment": 0.0}
    details = {"sample-space": {"extra_metrics": beside}}
    tuned = replace(record, stage="tune", seconds=3.0)
    chosen = {name: scores[name] for name in trial.recipe.evaluation.benchmarks}
    return TrialResult(trial.label, trial.seed, chosen, details, record, tuned)


def outcome_of(name: str, faults: dict[tuple[str, int], str] | None = None) -> StudyOutcome:
    """Scores of .5 and .6 at the first point, .01 more at each next."""
    plan = plan_of(name)
    results = [
        result_of(trial, 0.5 + 0.1 * (trial.seed - 1) + 0.01 * place)
        for place, case in enumerate(plan.cases)
        for trial in case.trials
        if (trial.label, trial.seed) not in (faults or {})
    ]
    return conclude(plan, results[::-1], faults or {})


def test_scores_are_gathered_by_point_in_the_order_of_seeds() -> None:
    rows = outcome_of("mask-length").rows
    assert rows[0].scores == {"stsb": pytest.approx((0.5, 0.6))}
    assert rows[4].scores == {"stsb": pytest.approx((0.54, 0.64))}
    assert rows[0].paper == {
        "BERT, STS, mean of seven sets": 0.741,
        "RoBERTa, STS, mean of seven sets": 0.750,
    }
    assert [row.seconds for row in rows] == [3.0] * 5


def test_further_measures_stand_beside_their_benchmarks_score() -> None:
    row = outcome_of("isotropy").rows[0]
    assert list(row.scores) == ["stsb", "sample-space", TABLE_9, "sample-space: mean vector norm"]
    assert row.scores[TABLE_9] == pytest.approx((0.125, 0.15))
    assert row.scores["sample-space"] == pytest.approx((0.25, 0.3))
    assert row.scores["sample-space: mean vector norm"] == pytest.approx((5.0, 6.0))


def test_the_table_has_mean_spread_and_the_papers_value() -> None:
    text = markdown(outcome_of("mask-length"))
    assert "| 2 | .550 ± .071 | .741 | .750 |" in text
    assert "| 20 | .590 ± .071 | .616 | .706 |" in text
    assert "10,000 sentences of docstrings of installed packages; means" in text
    assert "Base tiny (bbbbbbbbbbbb); 10,000" in text
    assert "over seeds 1, 2;" in text
    assert "## " not in text  # one level needs no heading of its own


def test_no_folder_of_the_machine_is_told() -> None:
    plan = plan_of("number-of-strings")
    away = replace(BASE, origin="/home/someone/bases/my-base")
    corpus = {
        "corpus.source": "files",
        "corpus.paths": ["/home/someone/a.parquet", "s3://bucket/b.txt"],
    }
    cases = tuple(
        replace(
            case,
            trials=tuple(
                replace(
                    trial,
                    recipe=with_changes(trial.recipe, corpus | case.point.changes),
                )
                for trial in case.trials
            ),
        )
        for case in plan.cases
    )
    outcome = conclude(replace(plan, cases=cases, bases={"sentence": away}), [], {})
    assert outcome.bases == {"sentence": "my-base (bbbbbbbbbbbb)"}
    assert outcome.strings == {"sentence": "1,000 to 50,000 sentences of a.parquet, b.txt"}


def test_levels_and_curves_are_told_apart() -> None:
    text = markdown(outcome_of("rate-and-temperature"))
    assert text.index("## Sentences") < text.index("## Words")
    assert "| 0.03 | learning rate 1e-05 | .550 ± .071 |" in text


def test_a_trial_without_a_score_leaves_its_reason() -> None:
    key = ("sentence, 5", 1)
    outcome = outcome_of("mask-length", {key: "the vectors have collapsed"})
    assert outcome.rows[1].scores["stsb"] == pytest.approx((0.61,))
    text = markdown(outcome)
    assert "| 5 | .610 | .743 | .753 | the vectors have collapsed |" in text
    every = {("sentence, 5", seed): "the vectors have collapsed" for seed in SEEDS}
    assert "| 5 | – | .743 |" in markdown(outcome_of("mask-length", every))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.7421, ".742"), (-0.011, "−.011"), (0.0, ".000"), (13.79, "13.79"), (1.0, "1.00")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_the_figure_has_ours_and_the_papers() -> None:
    ours, theirs = panels_of(outcome_of("mask-length"), "sentence")
    [series] = ours.series
    assert (series.name, series.places) == ("stsb", (2, 5, 10, 15, 20))
    assert series.values == pytest.approx((0.55, 0.56, 0.57, 0.58, 0.59))
    assert series.spreads == pytest.approx((0.0707,) * 5, abs=1e-4)
    assert [each.name.partition(",")[0] for each in theirs.series] == ["BERT", "RoBERTa"]
    assert theirs.series[0].values == (0.741, 0.743, 0.720, 0.690, 0.616)


@pytest.mark.parametrize("name", ["mask-length", "isotropy", "rate-and-temperature", "epochs"])
def test_the_figure_is_whole_svg_and_the_same_each_time(name: str) -> None:
    outcome = outcome_of(name)
    svg = draw_figure(outcome)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {text.strip() for text in root.itertext()}
    assert outcome.title in words
    assert words >= {"the paper", "ours"} or len(outcome.levels()) > 1
    assert {"the paper, words", "the paper, sentences"} <= words or name != "isotropy"
    assert draw_figure(outcome) == svg


def test_what_is_no_score_has_axes_of_its_own() -> None:
    panels = panels_of(outcome_of("isotropy"), "word")
    assert [(panel.title, [series.name for series in panel.series]) for panel in panels] == [
        ("ours, words", ["stsb", "sample-space", TABLE_9]),
        ("ours, words", ["sample-space: mean vector norm"]),
        ("the paper, words", ["BERT, IS"]),
        ("the paper, words", ["BERT, MVN"]),
    ]


def test_every_panel_draws_its_error_bars() -> None:
    flat = outcome_of("mask-length")
    one_seed = tuple(replace(r, scores={"stsb": r.scores["stsb"][:1]}) for r in flat.rows)
    assert panels_of(replace(flat, rows=one_seed), "sentence")[0].series[0].spreads == (0.0,) * 5


def test_results_are_written_whole(tmp_path: Path) -> None:
    outcome = outcome_of("mask-length")
    write_outcome(outcome, "<svg/>", tmp_path / "studies" / "mask-length")
    found = sorted(path.name for path in (tmp_path / "studies" / "mask-length").iterdir())
    assert found == ["figure.svg", "results.json", "table.md"]
    content = json.loads((tmp_path / "studies" / "mask-length" / "results.json").read_text())
    assert content["rows"][0]["scores"] == {"stsb": [pytest.approx(0.5), pytest.approx(0.6)]}
    assert content["seeds"] == [1, 2]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file in the way")
    with pytest.raises(StoreError, match="no trial is lost"):
        write_outcome(outcome_of("mask-length"), "<svg/>", tmp_path / "studies" / "mask-length")
