"""Runs that are stopped by Ctrl-C keep finished stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

INTERRUPTED = """
import os, signal
from flows.cli.main import main

def interrupt(_reporter, sign):
    if sign.stage == "sample":
        os.kill(os.getpid(), signal.SIGINT)

# Where the tests themselves run in the background, SIGINT is ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
from tasks import progress
progress.Reporter.__call__ = interrupt
main()
"""

Run = Callable[..., Any]
Write = Callable[..., Path]


def test_ctrl_c_in_a_stage(
    mirror_run: Run, write_recipe: Write, prefect_api: str, tmp_path: Path
) -> None:
    recipe, home = write_recipe(tmp_path), tmp_path / "home"
    done = mirror_run(recipe, home, INTERRUPTED, PREFECT_API_URL=prefect_api)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1].startswith("stopped; finished work is kept")
    assert "Traceback" not in done.stderr
    assert {path.parent.name for path in home.glob("stages/*/*")} == {"corpus", "profile"}
    assert list(home.glob("work/*.out")) == []
