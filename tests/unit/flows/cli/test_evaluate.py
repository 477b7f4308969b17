"""`mirror evaluate`: wrong usage."""

from __future__ import annotations

import importlib.util

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror


def test_a_missing_extra_is_one_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "mteb" else find_spec(name, *more),
    )
    assert run_guarded(mirror, ["evaluate", "no/folder", "--mteb", "STS12"]) == 1
    assert capsys.readouterr().err == (
        "error: --mteb needs the extra `mteb`: pip install -c constraints.txt -e '.[mteb]'\n"
    )


def test_benchmarks_or_tasks_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(mirror, ["evaluate", "no/folder"]) == 2
    assert "or tasks with --mteb" in " ".join(capsys.readouterr().err.split())
