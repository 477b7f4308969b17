"""`mirror study`: lists, and refuses misuse before anything runs."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from flows.cli import study_report
from flows.cli.study_report import TrialProgress
from mirror.experiments.plan import StudyOptions
from mirror.experiments.report import report_folder
from mirror.experiments.study import study_names
from mirror.progress import ProgressEvent
from tests.fixtures.flows import Command


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of this test's own."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def test_without_a_name_all_are_listed(command: Command) -> None:
    shown = command("study")
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
def test_misuse_gives_two(arguments: list[str], message: str, command: Command) -> None:
    assert message in command("study", "mask-length", *arguments, code=2)


def test_options_of_studies_are_refused_with_the_papers_tables(
    command: Command,
) -> None:
    assert "--corpus is not for --paper" in command("study", "--paper", "--corpus", "a.txt", code=2)


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
    arguments: list[str], message: str, command: Command
) -> None:
    assert message in command("study", "--paper", *arguments, code=1)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Arguments of studies that would have been run: name, options, jobs and output file."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(study_report, "run_and_print_study", lambda *given: calls.append(given[:4]))
    return calls


@pytest.mark.parametrize("arguments", [["mask-length"], ["--paper"]])
def test_quick_takes_the_first_seed_only(
    arguments: list[str], started: list[tuple[Any, ...]], command: Command
) -> None:
    for seeds in ([], ["--seeds", "7,8"]):
        command("study", *arguments, *seeds)
        command("study", *arguments, *seeds, "--quick")
    assert [options.seeds for _, options, *_ in started] == [(42, 33, 44), (42,), (7, 8), (7,)]


def test_only_the_papers_own_bases_are_used_without_stand_ins(
    started: list[tuple[Any, ...]], tmp_path: Path, command: Command
) -> None:
    for arguments in ([], ["--no-stand-in"], ["--stand-in", f"fr={tmp_path}"]):
        command("study", "--paper", *arguments)
    assert [name for name, *_ in started] == ["paper"] * 3
    stand_ins = [options.stand_ins for _, options, *_ in started]
    assert stand_ins == [(), None, (f"fr={tmp_path}",)]
    folders = started[1][1].base_folders()
    assert folders.stand_ins == {}


def test_the_output_file_is_passed_on(started: list[tuple[Any, ...]], command: Command) -> None:
    command("study", "mask-length", "--out", "masks.md", "--jobs", "2")
    command("study", "mask-length")
    assert [(jobs, out) for *_, jobs, out in started] == [(2, Path("masks.md")), (1, None)]


def test_the_report_is_written_to_the_output_file_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SimpleNamespace(name="masks", estimate=lambda: "masks: 2 encoders")
    folder = report_folder("masks", home)
    folder.mkdir(parents=True)
    (folder / "study.md").write_text("report")
    monkeypatch.setattr("tasks.trials.find_plan", lambda *_: plan)
    monkeypatch.setattr("flows.run_study.start_study", lambda *_: "the report")
    monkeypatch.setattr("mirror.experiments.report.render", lambda *given: " in ".join(given))
    monkeypatch.setattr(study_report, "print_report", lambda *_: None)
    monkeypatch.setattr(study_report, "task_progress", lambda *_: nullcontext())
    stdout, stderr = (Console(file=io.StringIO(), width=200) for _ in range(2))
    out = tmp_path / "masks.md"
    options = StudyOptions()
    study_report.run_and_print_study("masks", options, 1, out, (stdout, stderr))
    assert out.read_text() == "the report in study.md.j2"
    assert stdout.file.getvalue() == f"{folder / 'study.md'}\n"  # type: ignore[attr-defined]
    assert "masks: 2 encoders" in stderr.file.getvalue()  # type: ignore[attr-defined]


def test_an_unknown_study_is_refused_with_those_there_are(
    command: Command,
) -> None:
    shown = command("study", "no-such-study", code=1)
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
