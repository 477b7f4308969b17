"""Versions of the libraries and the code that made a stage."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of distributions."""
    return {name: importlib.metadata.version(name) for name in names}


def git_commit() -> str:
    """Return the commit of the checkout, with `+changes` if files differ, or `unknown`."""
    here = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return run.stdout.strip()
