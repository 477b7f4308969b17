"""One place for what a run cut, left out or replaced (part 2 of issue 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from flows.cli.tables import show_run
from mirror.recipe import Recipe, parse_recipe
from mirror.release.gate import Verdict
from mirror.release.notices import (
    SHOWN,
    Notice,
    corpus_notices,
    evaluation_notices,
    find_notices,
    notice_lines,
    pairs_notices,
    profile_notices,
    sample_notices,
    tuning_notices,
)
from mirror.release.report import render_report, report_stage
from mirror.release.run_record import find_record, save_record
from mirror.release.run_results import RunResults
from mirror.shared_texts import find_shared_texts
from mirror.store import StageRecord
from tests.fixtures.recipes import make_recipe, recipe_content
from tests.unit.mirror.release.test_run_record import RECORD

CORPUS = {"rows_in": 1_000, "kept": 800, "rejected": {}, "documents": 500}
TUNED = {"steps": 10, "full_share": 0.0, "masked_share": 1.0}


def named(notices: Any) -> dict[str, Notice]:
    return {notice.name: notice for notice in notices}


def recipe(**tuning: Any) -> Recipe:
    return make_recipe(tuning={"pooling": "mean", "max_tokens": 50, "batch_size": 100, **tuning})


def test_rejected_rows_are_counted_by_reason_with_what_helps() -> None:
    rejected = {"too long": 150, "empty cell written as text": 40, "an odd reason": 10}
    found = named(corpus_notices({**CORPUS, "rejected": rejected}))
    assert found["rejected_too_long"].text == (
        "150 rows of text rejected, too long (15.0%): raise corpus.max_characters, or split them"
    )
    assert "corpus.text_column" in found["rejected_empty_cell_written_as_text"].remedy
    assert "rejects/" in found["rejected_an_odd_reason"].remedy


def test_files_left_out_are_counted() -> None:
    counts = {**CORPUS, "files_left_out": {".png": 3, ".pdf": 1}, "input_files": [{}] * 4}
    [notice] = corpus_notices(counts)
    assert notice.text.startswith("4 files left out of folders, 3 .png, 1 .pdf (50.0%)")


@pytest.mark.parametrize(("share", "count"), [(0.2, 0), (0.3, 1)])
def test_near_copies_above_a_fifth_name_the_setting(share: float, count: int) -> None:
    found = list(corpus_notices({**CORPUS, "near_copies": share}))
    assert len(found) == count
    if found:
        assert found[0].count == 240
        assert "corpus.near_duplicates" in found[0].remedy


def test_pairs_that_are_skipped_doubtful_or_share_texts() -> None:
    counts = {
        "pairs": 90,
        "skipped": {"equal texts": 10},
        "doubtful": 2,
        "shared_texts": asdict(find_shared_texts([("a", str(n)) for n in range(90)])),
    }
    found = named(pairs_notices(counts))
    assert found["pairs_skipped_equal_texts"].share == 0.1
    assert found["pairs_doubtful"].count == 2
    assert found["pairs_sharing_texts"].share == 1
    assert not list(pairs_notices({"pairs": 5, "skipped": {}}))


def test_documents_of_one_sentence_and_replaced_views() -> None:
    crops = make_recipe(tuning={"views": "crops"})
    content = recipe_content()
    del content["tuning"]["views"]
    default = parse_recipe(content, name="en-trades", source="a test")
    counts = {"strings": 300, "documents": 100, "single_sentences": 60}
    assert named(sample_notices(counts, crops))["single_sentences"].share == 0.6
    assert not list(sample_notices({"strings": 300}, recipe()))
    replaced = default.with_identity().settled(content, "a test")
    assert named(sample_notices({"strings": 300}, replaced))["views_replaced"].count == 300


@pytest.mark.case("c4")
def test_texts_that_are_full_and_pairs_without_mask() -> None:
    found = named(tuning_notices({**TUNED, "full_share": 0.25, "masked_share": 0.5}, recipe()))
    assert found["texts_full_in_tuning"].count == 250
    assert "50 tokens" in found["texts_full_in_tuning"].what
    assert found["pairs_without_mask"].count == 500
    assert not list(tuning_notices(TUNED, recipe()))
    assert not list(tuning_notices({**TUNED, "masked_share": 0.0}, recipe(views="crops")))


@pytest.mark.case("c4")
def test_texts_of_benchmarks_that_are_cut() -> None:
    [notice] = evaluation_notices({"texts": 200, "cut": 50}, recipe())
    assert notice.text.startswith("50 texts of benchmarks are longer than the 50 tokens")
    assert not list(evaluation_notices({"texts": 200, "cut": 0}, recipe()))


def test_a_runs_notices_are_sorted_and_in_the_report(results: RunResults) -> None:
    notices = find_notices(results)
    shares = [notice.share for notice in notices]
    assert shares == sorted(shares, reverse=True)
    names = {notice.name for notice in notices}
    assert names == {
        "texts_full_in_tuning",
        "rejected_duplicate",
        "pairs_without_mask",
        "rejected_too_short",
    }
    page = render_report(results, Verdict(True, ("Better.",)))
    assert "Cut, left out or replaced" in page
    assert all(notice.what in page for notice in notices)


def test_the_report_is_made_again_when_notices_change(
    results: RunResults, write_stage: Callable[..., StageRecord]
) -> None:
    verdict = Verdict(True, ("Better.",))
    corpus = replace(results.corpus, counts={**results.corpus.counts, "near_copies": 0.5})
    other = replace(results, corpus=corpus)
    assert report_stage(results, verdict).key != report_stage(other, verdict).key


def notices(count: int) -> tuple[Notice, ...]:
    return tuple(Notice(f"n{n}", f"texts of kind {n}", n, n / 100, "split") for n in range(count))


@pytest.mark.parametrize("count", [0, 1, SHOWN, SHOWN + 1, 20])
def test_at_most_six_lines_are_shown_and_the_rest_counted(count: int) -> None:
    lines = notice_lines(notices(count))
    assert len(lines) == min(count, SHOWN)
    if count > SHOWN:
        assert lines[-1] == f"and {count - SHOWN + 1} more, in the report"


def test_the_record_keeps_notices_and_show_prints_them(tmp_path: Path) -> None:
    record = replace(RECORD, notices=notices(2))
    save_record(record, tmp_path)
    assert find_record(tmp_path) == record
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        show_run(record, console)
    lines = [line.strip() for line in capture.get().splitlines()]
    at = lines.index("Cut, left out or replaced")
    assert lines[at + 1] == "0 texts of kind 0 (0.0%): split"


@pytest.mark.parametrize(("share", "count"), [(0.2, 0), (0.75, 1)])
@pytest.mark.case("numbers")
def test_strings_without_letters_name_the_column(share: float, count: int) -> None:
    counts = {"strings": 1_000, "drawn": 1_000, "without_letters": share}
    found = list(profile_notices(counts))
    assert len(found) == count
    if found:
        assert found[0].text.startswith("750 strings have no letter, such as numbers (75.0%)")
        assert "corpus.text_column" in found[0].remedy


@pytest.mark.case("c4")
def test_evaluate_says_how_many_texts_are_cut(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["sentence1\tsentence2\tscore", *(f"{'wagon ' * n}\twagon\t{n}" for n in (1, 2, 90))]
    (tmp_path / "own.tsv").write_text("\n".join(rows))
    (tmp_path / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
    arguments = ["evaluate", str(tiny_base), "--pooling", "mean"]
    assert run_guarded(mirror, [*arguments, "--benchmark", str(tmp_path / "own.toml")]) == 0
    assert "1 of 4 texts are longer than the 64 tokens" in capsys.readouterr().err
