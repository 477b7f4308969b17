"""Run report: one self-contained, escaped, reproducible page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mirror.corpus.drift import Drift
from mirror.errors import StoreError
from mirror.evaluation.score_change import ScoreChange
from mirror.release.gate import GateInput, SmokeTestResult, Verdict
from mirror.release.report import REPORT, render_report, report_stage, score_scale, write_report
from mirror.release.run_results import RunResults, score_changes
from mirror.store import Store
from tests.fixtures.pages import Page

VERDICT = Verdict(True, ("Better than its base.", "Mind <b>this</b>."))


def test_text_is_shown_and_never_run(results: RunResults) -> None:
    rendered = render_report(results, VERDICT)
    page = Page(rendered)
    assert "<script>alert('first')</script> the baker & the miner" in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    assert "Mind <b>this</b>." in page.text
    assert not any(name.startswith("on") for _, found in page.tags for name in found)


def test_the_page_loads_nothing(results: RunResults) -> None:
    rendered = render_report(results, VERDICT)
    assert "http:" not in rendered
    assert "https:" not in rendered
    assert "@import" not in rendered
    assert "link" not in {tag for tag, _ in Page(rendered).tags}
    assert all(address.startswith("#") for address in Page(rendered).addresses())
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", rendered))


def test_every_id_that_the_plots_use_is_there_once(results: RunResults) -> None:
    rendered = render_report(results, VERDICT)
    ids = [found["id"] for _, found in Page(rendered).tags if "id" in found]
    assert len(ids) == len(set(ids))
    used = {address[1:] for address in Page(rendered).addresses()}
    used |= {found[1:] for found in re.findall(r"url\(([^)]*)\)", rendered)}
    assert used <= set(ids)
    assert used


def test_it_tells_scores_verdict_data_and_neighbours(results: RunResults) -> None:
    text = Page(render_report(results, VERDICT)).text
    likeness = score_changes(results)[0]
    for expected in (
        "mirror-en-trades",
        "Promoted by the gate",
        f"{likeness.after:.3f}".lstrip("0"),
        f"+{likeness.change:.3f}".replace("0.", "."),
        "500 read, 420 kept",
        "too short",
        "only before tuning",
        "only after tuning",
        "On search the tuned encoder scores below BM25",
        "Loss (info-nce) of each step",
        results.tuned.digest,
        "north",
    ):
        assert expected in text


def test_a_refused_encoder_is_reported_as_refused(results: RunResults) -> None:
    text = Page(render_report(results, Verdict(False, ("Not better.",)))).text
    assert "Not promoted by the gate" in text
    assert "Promoted by the gate" not in text


def test_only_neighbours_that_came_with_tuning_are_marked(results: RunResults) -> None:
    rendered = render_report(results, VERDICT)
    marked = re.findall(r'<li class="new"><span[^>]*>([^<]*)<', rendered)
    assert marked == ["only after tuning"]


def test_the_same_run_gives_the_same_bytes(results: RunResults) -> None:
    assert render_report(results, VERDICT) == render_report(results, VERDICT)


def test_plots_take_their_colours_from_the_page(results: RunResults) -> None:
    rendered = render_report(results, VERDICT)
    for colour in ("var(--before)", "var(--after)", "var(--line)"):
        assert f": {colour}" in rendered.partition("</style>")[2]
    assert rendered.count("<svg") == 3


def test_the_stage_is_reused_until_the_verdict_changes(results: RunResults, store: Store) -> None:
    first = write_report(results, VERDICT, store)
    again = write_report(results, VERDICT, store)
    assert (first.reused, again.reused) == (False, True)
    assert (first.path / REPORT).read_text(encoding="utf-8") == render_report(results, VERDICT)
    other = report_stage(results, Verdict(False, ("Not better.",)))
    assert other.key != first.key


def test_a_damaged_log_of_steps_is_named(results: RunResults) -> None:
    (results.tuned.path / "steps.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(StoreError, match=r"steps\.jsonl cannot be read"):
        render_report(results, VERDICT)


@pytest.mark.parametrize(
    ("before", "low", "expected"), [(0.3, 0.1, (0.0, 0.7)), (-0.13, -0.1, (-0.3, 0.7))]
)
def test_the_axis_holds_every_score(
    before: float, low: float, expected: tuple[float, float]
) -> None:
    line = ScoreChange("a", "spearman", 9, before, 0.61, 0.31, low, 0.32, {"BM25": 0.62})
    assert score_scale((line,)) == expected


def test_a_run_without_rejects_is_reported(results: RunResults) -> None:
    counts = {**results.corpus.counts, "rejected": {}}
    clean = replace(results, corpus=replace(results.corpus, counts=counts))
    assert "nothing was rejected" in Page(render_report(clean, VERDICT)).text


def test_champion_subsets_smoke_test_and_drift_are_reported(results: RunResults) -> None:
    whole = ScoreChange("search", "mrr@10", 120, 0.35, 0.4, 0.05, 0.01, 0.09)
    part = ScoreChange("likeness, north", "spearman", 60, 0.5, 0.45, -0.05, -0.09, -0.01)
    smoke_test = SmokeTestResult(difference=2e-7, milliseconds=4.25, megabytes=14.7)
    drift = Drift(100, 150, 0.4, 0.1, 0.02, 0.0, 0.001, 1.25, 1.3, 40.0, 42.0, 0.03, ("covid",))
    verdict = Verdict(
        True, ("Better.",), GateInput(champion=(whole,), slices=(part,), smoke_test=smoke_test)
    )
    text = Page(render_report(replace(results, drift=drift), verdict)).text
    assert "search 120 .350 .400 +.050 +.010 to +.090" in text
    assert "likeness, north 60 .500 .450 −.050 −.090 to −.010" in text
    assert "cosines within 2e-07 of the evaluation's, 4.2 ms for one text" in text
    assert "strings that the other lacks 10.00% 40.00%" in text
    plain = Page(render_report(results, VERDICT)).text
    assert "Compared with the champion" not in plain
    assert "since the champion" not in plain
