"""Errors about a workspace that does not exist or is a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.paths import CHECKOUT

READING_COMMANDS = (
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
        ["export", "models:/some-model/1", "--format", "onnx", "--out", "out"],
        marks=pytest.mark.slow,
        id="export",
    ),
)


def run_in_new_process(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that has not imported anything yet."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MIRROR_HOME", "MLFLOW_", "PREFECT_"))
    }
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli.main import main; main()", *arguments],
        cwd=CHECKOUT,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", READING_COMMANDS, ids=" ".join)
def test_a_missing_workspace_is_an_error_and_is_not_created(
    arguments: list[str], tmp_path: Path
) -> None:
    typo = tmp_path / "typo"
    process = run_in_new_process([*arguments, "--workspace", str(typo)])
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"error: no workspace at {typo}: check --workspace or MIRROR_HOME\n"
    assert not typo.exists()


@pytest.mark.parametrize("command", [["history", "some-model"], ["gc"], ["up"], ["run", "RECIPE"]])
def test_a_workspace_that_is_a_file_is_an_error_before_prefect_is_imported(
    command: list[str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a folder")
    arguments = [part.replace("RECIPE", "en-python-docs") for part in command]
    process = run_in_new_process([*arguments, "--workspace", str(notes)])
    assert process.returncode == 1
    [line] = process.stderr.splitlines()  # no log of Prefect
    assert line.startswith(f"error: the workspace {notes} cannot be written (it is a file)")
    assert "correct the folder's permissions, or set MIRROR_HOME" in line
