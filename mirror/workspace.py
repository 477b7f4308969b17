"""The workspace that a command is given, looked at before Prefect or MLflow make anything in it."""

from __future__ import annotations

import os
from pathlib import Path

from mirror.errors import InputError, StoreError
from mirror.machine import write_fault

CHECKOUT = Path(__file__).resolve().parent.parent
PARTS = ("stages", "work", "locks", "runs", "registered", "servers", "pretraining", "mlflow.db")
"""What commands leave in a workspace: a folder with none of them is something else."""


def workspace_root() -> Path:
    """`MIRROR_HOME`, or `.mirror` in the checkout."""
    return Path(os.environ.get("MIRROR_HOME") or CHECKOUT / ".mirror").absolute()


def writable_workspace() -> Path:
    """The workspace of a command that writes into it; it need not be there yet.

    Raises:
        StoreError: it cannot be made or written.
    """
    root = workspace_root()
    there = next(place for place in (root, *root.parents) if place.exists())
    if fault := write_fault(there):
        raise StoreError(
            f"the workspace {root} cannot be written ({fault}): "
            "free or allow the folder, or set MIRROR_HOME to another"
        )
    return root


def open_workspace(*, for_registry: bool = False) -> Path:
    """The workspace of a command that only reads it or cleans it.

    One that was named must be there, else a slip of the pen would make a workspace.

    Args:
        for_registry: only the registry in it is asked; then none is needed if it is elsewhere.

    Raises:
        InputError: the folder that was named has no workspace.
        StoreError: it is a file, or cannot be made.
    """
    root = workspace_root()
    own = f"sqlite:///{root / 'mlflow.db'}"
    elsewhere = for_registry and (os.environ.get("MLFLOW_TRACKING_URI") or own) != own
    named = bool(os.environ.get("MIRROR_HOME"))
    is_file = root.exists() and not root.is_dir()
    if named and not (elsewhere or is_file or any((root / part).exists() for part in PARTS)):
        raise InputError(f"no workspace at {root}: check --workspace or MIRROR_HOME")
    return root if root.is_dir() else writable_workspace()
