from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.cli import bench
from flows.cli.errors import run_guarded
from flows.cli.main import mirror


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that would have been run, by a script that does nothing."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bench.subprocess, "run", run)
    return seen


def test_options_reach_the_script_with_whole_paths(
    called: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_guarded(mirror, ["bench", "--quick", "--threads", "1", "--out", "speed.md"]) == 0
    [command] = called
    assert command[1].endswith("bench/speed.py")
    assert command[2:] == ["--quick", "--threads", "1", "--out", str(tmp_path / "speed.md")]


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    called: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["bench", "--out", str(tmp_path / "no" / "speed.md")]) == 1
    assert "no folder" in capsys.readouterr().err
    assert called == []


def test_what_the_other_sides_need_is_asked_for_before_any_work(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "OTHERS", ("json", "no_such_library"))
    assert run_guarded(mirror, ["bench"]) == 1
    said = capsys.readouterr().err
    assert "need no_such_library" in " ".join(said.split()) and "[dev]" in said
    assert called == []


def test_it_needs_a_checkout(
    called: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    assert run_guarded(mirror, ["bench"]) == 1
    assert "checkout" in capsys.readouterr().err
    assert called == []


def test_every_script_it_runs_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.syspath_prepend(str(bench.CHECKOUT / "bench"))
    speed = importlib.import_module("speed")
    for script, *_ in (*speed.commands(quick=False), *speed.commands(quick=True)):
        assert script.endswith("_speed.py") or script == "busy_machine.py"
        assert (speed.BENCH / script).is_file()
