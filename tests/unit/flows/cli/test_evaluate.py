"""`mirror evaluate`: wrong usage."""

from __future__ import annotations

import importlib.util

import pytest

from tests.fixtures.flows import Command


def test_a_missing_extra_is_one_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "mteb" else find_spec(name, *more),
    )
    assert command("evaluate", "no/folder", "--mteb", "STS12", code=1) == (
        "error: --mteb needs the extra `mteb`: pip install -c constraints.txt -e '.[mteb]'\n"
    )


def test_benchmarks_or_tasks_are_needed(command: Command) -> None:
    assert "or tasks with --mteb" in " ".join(command("evaluate", "no/folder", code=2).split())
