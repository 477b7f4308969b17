"""Commands and a workspace that was mistyped: it is told, and none is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.paths import CHECKOUT

READING = (
    ["gc"],
    ["gc", "--dry-run"],
    ["show"],
    ["verify", "some-recipe"],
    ["down"],
    ["history", "some-model"],
    ["promote", "some-model"],
    ["rollback", "some-model"],
    ["serve", "some-model"],
    ["compare", "models:/some-model/1", "models:/some-model/2"],
    pytest.param(
        ["export", "models:/some-model/1", "--format", "onnx", "--out", "never-made"],
        marks=pytest.mark.slow,
        id="export",
    ),
)


def run_alone(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process that has imported nothing yet."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MIRROR_HOME", "MLFLOW_", "PREFECT_"))
    }
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli.main import main; main()", *arguments],
        cwd=CHECKOUT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_mistyped_workspace_is_told_and_not_made(arguments: list[str], tmp_path: Path) -> None:
    typo = tmp_path / "typo"
    done = run_alone([*arguments, "--workspace", str(typo)])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: no workspace at {typo}: check --workspace or MIRROR_HOME\n"
    assert not typo.exists()


@pytest.mark.parametrize("command", [["history", "some-model"], ["gc"], ["up"], ["run", "RECIPE"]])
def test_a_workspace_that_is_a_file_is_told_before_prefect_is_imported(
    command: list[str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a folder")
    arguments = [part.replace("RECIPE", "en-python-docs") for part in command]
    done = run_alone([*arguments, "--workspace", str(notes)])
    assert done.returncode == 1
    [line] = done.stderr.splitlines()  # and so nothing of Prefect's
    assert line.startswith(f"error: the workspace {notes} cannot be written (it is a file)")
    assert "free or allow the folder, or set MIRROR_HOME" in line
