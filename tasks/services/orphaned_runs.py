"""Flow runs without a process: reported to Prefect's server as crashed, or scheduled again.

A worker reports a run that dies, and a run reports its own end.  If both were killed, the server
would show the run as running for ever, and its deployment's concurrency slot would stay taken.
Prefect's automation on missing heartbeats covers less: it neither schedules runs again that had
not begun nor cancels, and it fires for live runs after an outage of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tasks.services import POOL
from tasks.services.health import ask_prefect, online_workers
from tasks.services.options import ServiceState
from tasks.services.supervisor import marked_processes

RUN_ID = "PREFECT__FLOW_RUN_ID"
"""In the environment of a run's process and of its descendants."""
WORKER_LABEL = "prefect.worker.name"
PENDING, RUNNING, CANCELLING = "PENDING", "RUNNING", "CANCELLING"
MESSAGE = "Its process was killed: run it again, finished stages are reused."


def end_orphaned_runs(folder: Path, state: ServiceState, dead_workers: set[str]) -> tuple[str, ...]:
    """Set runs without a process to crashed or cancelled; schedule again those not yet begun.

    Args:
        folder: of the services.
        state: settings of the services.
        dead_workers: workers that do not run; runs that they had taken are scheduled again.

    Returns:
        The names of these runs.
    """
    names = []
    for run in _unfinished_runs(state, dead_workers):
        # In this order: a run first reports its end and then ends.
        if run["id"] in _run_ids_with_process(folder):
            continue
        current = ask_prefect(state, f"flow_runs/{run['id']}")
        if current["state_type"] != run["state_type"]:
            continue
        ask_prefect(state, f"flow_runs/{run['id']}/set_state", {"state": _next_state(run)})
        names.append(str(current["name"]))
    return tuple(names)


def _unfinished_runs(state: ServiceState, dead_workers: set[str]) -> Iterator[dict[str, Any]]:
    workers = {*state.workers, *dead_workers}
    foreign_workers = set(online_workers(state)) - workers
    query = {
        "work_pools": {"name": {"any_": [POOL]}},
        "flow_runs": {"state": {"type": {"any_": [PENDING, RUNNING, CANCELLING]}}},
    }
    for run in ask_prefect(state, "flow_runs/filter", query):
        worker = run["labels"].get(WORKER_LABEL)
        # A worker that has just taken a run has not yet set its label.
        unlabelled = worker is None and not foreign_workers
        if run["state_type"] == PENDING:  # a live worker may be about to begin it
            is_orphaned = worker in dead_workers or (unlabelled and dead_workers >= workers)
        else:
            is_orphaned = worker in workers or unlabelled
        if is_orphaned:
            yield run


def _run_ids_with_process(folder: Path) -> set[str]:
    run_ids = set()
    for process in marked_processes(folder):
        with suppress(psutil.Error, OSError):
            run_ids.add(process.environ().get(RUN_ID, ""))
    return run_ids


def _next_state(run: dict[str, Any]) -> dict[str, Any]:
    if run["state_type"] == PENDING:
        due = {"scheduled_time": datetime.now(UTC).isoformat()}
        return {"type": "SCHEDULED", "name": "Scheduled", "state_details": due}
    if run["state_type"] == CANCELLING:
        return {"type": "CANCELLED", "name": "Cancelled"}
    return {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
