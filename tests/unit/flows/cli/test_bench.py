"""`mirror bench`."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bench import speed
from flows.cli import bench
from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from tests.fixtures.flows import Command


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that would have been run."""
    recorded: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        recorded.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bench.subprocess, "run", run)
    return recorded


def test_options_are_passed_to_the_benchmarks_with_absolute_paths(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_guarded(mirror, ["bench", "--quick", "--threads", "1", "--out", "speed.md"]) == 0
    [command] = commands
    assert command[1:3] == ["-m", "bench.speed"]
    assert command[3:] == ["--quick", "--threads", "1", "--out", str(tmp_path / "speed.md")]


def test_an_output_in_a_missing_folder_is_refused_before_any_work(
    commands: list[list[str]], tmp_path: Path, command: Command
) -> None:
    assert "there is no folder" in command(
        "bench", "--out", str(tmp_path / "no" / "speed.md"), code=1
    )
    assert commands == []


def test_missing_libraries_are_an_error_before_any_work(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(bench, "OTHERS", ("json", "no_such_library"))
    message = command("bench", code=1)
    assert "need no_such_library" in " ".join(message.split()) and "[dev]" in message
    assert commands == []


def test_a_checkout_is_needed(
    commands: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    assert "checkout" in command("bench", code=1)
    assert commands == []


def test_every_benchmark_that_it_runs_exists() -> None:
    for module, *_ in (*speed.commands(quick=False), *speed.commands(quick=True)):
        assert module.endswith("_speed") or module == "busy_machine"
        assert find_spec(f"bench.{module}") is not None


@pytest.mark.parametrize("arguments", [["--quick", "--threads", "2"], ["--out", "no/such.md"]])
def test_the_package_is_run_as_the_command_is(
    commands: list[list[str]], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = run_guarded(mirror, ["bench", *arguments])
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bench", run_name="__main__")
    assert ended.value.code == code
    assert commands == commands[: len(commands) // 2] * 2
