"""A run's record is found again as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mirror.errors import StoreError
from mirror.evaluation.score_change import MetricSummary, ScoreChange
from mirror.release.run_record import (
    RunRecord,
    StageSummary,
    StartTime,
    find_record,
    find_stage,
    read_record,
    record_paths,
    save_record,
    stage_summaries,
)
from mirror.store import Stage, Store

RECORD = RunRecord(
    recipe="en-trades",
    started_at="2026-01-02T03:04:05+00:00",
    seconds=75.25,
    stages=(StageSummary("corpus", 12.5, True, "/made/corpus"),),
    scores=(ScoreChange("search", "mrr", 90, 0.5, 0.4, -0.1, -0.2, -0.05, {"BM25": 0.625}),),
    promote=False,
    reasons=("Schlechter – 悪い.",),
    encoder="/made/encoder",
    report="/made/report.html",
    model="models:/mirror-en-trades/3",
    extra_metrics=(MetricSummary("space", "isotropy", 0.25, 0.5),),
)
LATER = replace(RECORD, started_at="2026-01-02T03:04:06+00:00", recipe="de-trades")


def test_what_is_saved_is_found(tmp_path: Path) -> None:
    path = save_record(RECORD, tmp_path)
    assert find_record(tmp_path, "en-trades") == RECORD
    assert path.parent == tmp_path / "runs" / "en-trades"
    assert [file.suffix for file in path.parent.iterdir()] == [".json"]


def test_the_newest_is_found_of_one_recipe_or_of_all(tmp_path: Path) -> None:
    newest = replace(RECORD, started_at="2026-01-02T03:04:05.500000+00:00", seconds=1.0)
    for record in (LATER, newest, RECORD):
        save_record(record, tmp_path)
    assert find_record(tmp_path, "en-trades") == newest
    assert find_record(tmp_path) == LATER


def test_a_run_after_the_clock_was_set_back_is_the_newest(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=40)
    save_record(replace(RECORD, started_at=ahead.isoformat(timespec="microseconds")), tmp_path)
    for record in (RECORD, LATER, RECORD):
        save_record(record, tmp_path)
        assert find_record(tmp_path) == record
    assert [read_record(path) for path in record_paths(tmp_path)][1:] == [RECORD, LATER, RECORD]


def test_a_runs_length_is_not_measured_by_a_clock_that_is_set() -> None:
    began = StartTime.now()
    assert 0 <= replace(began, at="2001-01-01T00:00:00+00:00").seconds() < 60


def test_a_missing_run_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make one with `mirror run en-trades`"):
        find_record(tmp_path, "en-trades")


def test_a_recipes_path_is_as_good_as_its_name(tmp_path: Path) -> None:
    for record in (RECORD, LATER):
        save_record(record, tmp_path)
    for place in ("en-trades.toml", "recipes/en-trades.toml", "/far/away/en-trades.toml"):
        assert find_record(tmp_path, place) == RECORD
    with pytest.raises(StoreError, match=r"no run of /far/xx\.toml .*`mirror run /far/xx\.toml`"):
        find_record(tmp_path, "/far/xx.toml")


@pytest.mark.parametrize(
    "name", ["a**", "*", "/far/en-trades", "../runs/en-trades", "en-[t]rades", "..", "/far/*.toml"]
)
def test_an_invalid_recipe_name_is_refused(tmp_path: Path, name: str) -> None:
    save_record(RECORD, tmp_path)
    with pytest.raises(StoreError, match=r"not a recipe's name.*`mirror recipes` lists") as fault:
        find_record(tmp_path, name)
    assert name in str(fault.value)


@pytest.mark.parametrize("content", ["", "[]", '{"recipe": "a"}', '{"scores": 3}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    path = save_record(RECORD, tmp_path)
    path.write_text(content)
    with pytest.raises(StoreError, match="is not a run record"):
        find_record(tmp_path)


def test_a_read_only_workspace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(StoreError, match="MIRROR_HOME"):
        save_record(RECORD, tmp_path)


def test_a_stage_of_a_run_is_found_again(tmp_path: Path) -> None:
    stage = Stage("corpus", "formatting", {}, {})
    made = Store(tmp_path).make(stage, lambda out, work: {"kept": 3})
    record = replace(RECORD, stages=stage_summaries([made]))
    assert find_stage(record, "corpus") == replace(made, reused=True)
    with pytest.raises(StoreError, match="mirror run en-trades"):
        find_stage(record, "sample")
    (made.path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="is missing"):
        find_stage(record, "corpus")
