"""Stops what was started, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.services.lock import locked
from tasks.services.processes import is_running, stop
from tasks.services.state import MLFLOW, PREFECT, ServerState, read_state, remove_state, write_state

WORKER_SECONDS = 6.0
"""For a run to say that it was ended, while the server can still hear it."""
LEFTOVER_SECONDS = 3.0
LOCK_SECONDS = 3.0
ORDER = (("worker", WORKER_SECONDS), (MLFLOW, 3.0), (PREFECT, 3.0))
"""Those that ask before those that answer; with three seconds each for a kill, within twenty."""


def bring_down(folder: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    """Stops the servers and workers that were started from a folder, and their children.

    Returns the names of those that ran.

    Raises:
        StoreError: the state cannot be read, or another command is at work.
        ServiceError: a process cannot be ended.
    """
    if not folder.is_dir():
        return ()
    with locked(folder, LOCK_SECONDS):
        state = read_state(folder)
        if state is None:
            return ()
        ran = tuple(known.name for known in state.processes if is_running(known))
        for kind, seconds in ORDER:
            state = _stop_kind(folder, state, kind, seconds, say)
        remove_state(folder)
        return ran


def _stop_kind(
    folder: Path, state: ServerState, kind: str, seconds: float, say: Callable[[str], None]
) -> ServerState:
    names = [known.name for known in state.processes if known.name.startswith(kind)]
    if not names:
        return state
    say(f"stopping {', '.join(names)}")
    stop(names, state.processes, folder, seconds)
    left = state.without(set(names))
    write_state(folder, left)
    return left
