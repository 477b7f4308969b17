"""Notification blocks are checked before a run begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_block_that_is_not_there_is_refused_before_any_work(
    write_recipe: Callable[..., Path],
    run_here: Callable[..., Any],
    tmp_path: Path,
) -> None:
    recipe, home = write_recipe(tmp_path), tmp_path / "home"
    for block, message in (
        ("slack-webhook/nobody", "which cannot be loaded from the Prefect server"),
        ("https://hooks.example/T0/SECRET", "give type and name of a notification block"),
    ):
        done = run_here(recipe, home, MIRROR_NOTIFY=block)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert "SECRET" not in done.stderr
    assert not list(home.glob("stages/*/*"))
