"""`mirror study`: lists, and refuses misuse before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from flows.cli.study_tables import TrialProgress
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
        (["--seeds", "1,x"], "no list of numbers such as 42,33,44"),
        (["--seeds", "1,1"], "names a seed twice"),
        (["--level", "letter"], "'letter' is not one of"),
        (["--at-once", "0"], "0 is not in the range"),
    ],
)
def test_misuse_gives_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["study", "mask-length", *arguments]) == 2
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
    assert [(told.stage, told.done, told.total) for told in seen] == [
        ("corpus", 5, None),
        ("trials", 1, 6),
        ("trials", 1, 6),
        ("trials", 1, 6),
    ]
    assert seen[2].text == "tune: 3 of 9 steps: loss 1"
