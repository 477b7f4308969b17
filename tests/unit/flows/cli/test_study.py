"""`mirror study`: lists, and refuses misuse before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from flows.cli.study_report import TrialProgress
from mirror.experiments.study import study_names
from mirror.progress import ProgressEvent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of this test's own."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(mirror, ["study"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in study_names())
    assert "Table 13" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1,x"], "not a list of whole numbers such as 42,33,44"),
        (["--seeds", "1,1"], "names a seed twice"),
        (["--level", "letter"], "'letter' is not one of"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--seeds", "-1"], "has a seed below 0"),
        (["--paper"], "give either mask-length or --paper"),
        (["--tables", "T1"], "--tables is only for --paper"),
        (["--base", "a", "--base", "b"], "a study runs on one base"),
    ],
)
def test_misuse_gives_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["study", "mask-length", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_options_of_studies_are_refused_with_the_papers_tables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(mirror, ["study", "--paper", "--corpus", "a.txt"]) == 2
    assert "--corpus is not for --paper" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "T99"], "no table t99 of the paper"),
        (["--bases", "no/such/folder"], "--bases no/such/folder: there is no such folder"),
        (["--base", "some-base"], "give it as HUB_ID=PATH"),
        (["--stand-in", "fr=nowhere"], "there is no folder nowhere"),
    ],
)
def test_faults_of_the_papers_options_show_before_anything_runs(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["study", "--paper", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_an_unknown_study_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(mirror, ["study", "no-such-study"]) == 1
    shown = capsys.readouterr().err
    assert "error: no study at" in shown
    assert "mask-length" in shown


def test_all_trials_are_one_bar() -> None:
    seen: list[ProgressEvent] = []
    bar = TrialProgress(seen.append)
    bar(ProgressEvent("corpus", 5, None, "documents"))
    bar(ProgressEvent("trials", 1, 6, "trials", "masks, 2"))
    bar(ProgressEvent("tune", 3, 9, "steps", "loss 1"))
    bar(ProgressEvent("evaluation", 1, 2, "benchmarks"))
    assert [(event.stage, event.done, event.total) for event in seen] == [
        ("corpus", 5, None),
        ("trials", 1, 6),
        ("trials", 1, 6),
        ("trials", 1, 6),
    ]
    assert seen[2].text == "tune: 3 of 9 steps: loss 1"
