"""Runs whose processes were killed before they could say so: the server is told in their place.

A worker tells of a run that dies, and a run of itself; where both died, or the server could not
hear them, the run would be held to be running for ever, and so would its deployment's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tasks.services import POOL
from tasks.services.health import ask, online_workers
from tasks.services.processes import of_servers
from tasks.services.state import ServerState

RUN_ID = "PREFECT__FLOW_RUN_ID"
"""In the environment of a run's process, and of all that it starts."""
WORKER = "prefect.worker.name"
PENDING, RUNNING, CANCELLING = "PENDING", "RUNNING", "CANCELLING"
MESSAGE = "Its process was killed: run it again, and it goes on from where it was."


def tell_abandoned(folder: Path, state: ServerState, dead: set[str]) -> tuple[str, ...]:
    """Has runs that no process does any more end as crashed, or cancelled where that was asked.

    Those that had not begun wait for a worker again.

    Args:
        folder: where the servers' state is.
        state: what is meant to run.
        dead: workers that do not run; what they had taken and not begun is given back.

    Returns:
        The names of these runs.

    Raises:
        OSError: the server does not answer.
    """
    names = []
    for run in _taken(state, dead):
        # Looked at in this order: a run says that it has ended, and then ends.
        if run["id"] in _at_work(folder):
            continue
        now = ask(state, f"flow_runs/{run['id']}")
        if now["state_type"] != run["state_type"]:
            continue
        ask(state, f"flow_runs/{run['id']}/set_state", {"state": _state_after(run)})
        names.append(str(now["name"]))
    return tuple(names)


def _taken(state: ServerState, dead: set[str]) -> Iterator[dict[str, Any]]:
    ours = {process.name for process in state.processes if process.is_worker} | dead
    strangers = set(online_workers(state)) - ours
    wanted = {
        "work_pools": {"name": {"any_": [POOL]}},
        "flow_runs": {"state": {"type": {"any_": [PENDING, RUNNING, CANCELLING]}}},
    }
    for run in ask(state, "flow_runs/filter", wanted):
        worker = run["labels"].get(WORKER)
        # A worker that has just taken a run has not yet written its name on it.
        unnamed = worker is None and not strangers
        if run["state_type"] == PENDING:  # a worker that lives may be about to begin it
            is_left = worker in dead or (unnamed and dead >= ours)
        else:
            is_left = worker in ours or unnamed
        if is_left:
            yield run


def _at_work(folder: Path) -> set[str]:
    found = set()
    for process in of_servers(folder):
        with suppress(psutil.Error, OSError):
            found.add(process.environ().get(RUN_ID, ""))
    return found


def _state_after(run: dict[str, Any]) -> dict[str, Any]:
    if run["state_type"] == PENDING:
        due = {"scheduled_time": datetime.now(UTC).isoformat()}
        return {"type": "SCHEDULED", "name": "Scheduled", "state_details": due}
    if run["state_type"] == CANCELLING:
        return {"type": "CANCELLED", "name": "Cancelled"}
    return {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
