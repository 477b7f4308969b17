"""Only runs without a process are reported to a real Prefect server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tasks.services.health import ask_prefect, create_pool
from tasks.services.options import ServiceState
from tasks.services.orphaned_runs import MESSAGE, RUN_ID, end_orphaned_runs
from tasks.services.supervisor import FOLDER_VARIABLE, NAME_VARIABLE
from tests.fixtures.flows import prefect_api

__all__ = ["prefect_api"]
pytestmark = pytest.mark.slow
OURS = "worker-1"


@pytest.fixture
def state(prefect_api: str) -> ServiceState:
    """A worker of ours that does not run, and a work pool."""
    port = int(prefect_api.split(":")[2].split("/")[0])
    made = ServiceState("127.0.0.1", port, 0, "", False)
    create_pool(made)
    return made


@pytest.fixture
def start(state: ServiceState) -> Iterator[Callable[..., str]]:
    """Make a run of the pool in a state of that type, taken by that worker; returns its id."""
    flow = ask_prefect(state, "flows/", {"name": "faults"})["id"]
    pool = ask_prefect(state, "work_pools/mirror")["name"]

    def make(kind: str, worker: str | None) -> str:
        about = {"work_pool_name": pool, "work_queue_name": "default", "entrypoint": "a.b"}
        name = f"{kind}-{worker}"
        deployed = ask_prefect(state, "deployments/", {"name": name, "flow_id": flow, **about})[
            "id"
        ]
        run = str(ask_prefect(state, f"deployments/{deployed}/create_flow_run", {})["id"])
        if worker:
            label(state, run, worker)
        steps = ("PENDING", "RUNNING", "CANCELLING")
        for step in steps[: steps.index(kind) + 1]:
            ask_prefect(state, f"flow_runs/{run}/set_state", {"state": {"type": step}})
        made.append(run)
        return run

    made: list[str] = []
    yield make
    for run in made:
        ask_prefect(
            state, f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLED"}, "force": True}
        )


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Start a process of a run, as a worker of ours does."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(run: str) -> None:
        marked = os.environ | {FOLDER_VARIABLE: str(tmp_path), NAME_VARIABLE: OURS, RUN_ID: run}
        code = "print(flush=True); input()"
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        begun.append(subprocess.Popen([sys.executable, "-c", code], env=marked, **pipes))
        assert begun[-1].stdout is not None
        begun[-1].stdout.readline()

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def label(state: ServiceState, run: str, worker: str) -> None:
    body, headers = {"prefect.worker.name": worker}, {"Content-Type": "application/json"}
    address = f"{state.prefect_url}/api/flow_runs/{run}/labels"
    urlopen(Request(address, json.dumps(body).encode(), headers, method="PATCH")).close()


def kind_of(state: ServiceState, run: str) -> str:
    return str(ask_prefect(state, f"flow_runs/{run}")["state_type"])


def test_a_run_without_a_process_has_crashed_and_one_with_goes_on(
    state: ServiceState, start: Callable[..., str], at_work: Callable[[str], None], tmp_path: Path
) -> None:
    gone, alive, anothers = start("RUNNING", OURS), start("RUNNING", OURS), start("RUNNING", "b")
    at_work(alive)
    assert len(end_orphaned_runs(tmp_path, state, set())) == 1
    assert kind_of(state, gone) == "CRASHED"
    assert ask_prefect(state, f"flow_runs/{gone}")["state"]["message"] == MESSAGE
    assert kind_of(state, alive) == "RUNNING"
    assert kind_of(state, anothers) == "RUNNING"
    assert end_orphaned_runs(tmp_path, state, set()) == ()


def test_one_that_was_to_be_cancelled_is(
    state: ServiceState, start: Callable[..., str], tmp_path: Path
) -> None:
    run = start("CANCELLING", OURS)
    assert len(end_orphaned_runs(tmp_path, state, set())) == 1
    assert kind_of(state, run) == "CANCELLED"


@pytest.mark.parametrize("worker", [OURS, None])
def test_what_a_dead_worker_had_not_begun_waits_for_the_next(
    worker: str | None, state: ServiceState, start: Callable[..., str], tmp_path: Path
) -> None:
    run = start("PENDING", worker)
    assert end_orphaned_runs(tmp_path, state, set()) == ()  # it lives, and may be about to begin
    assert kind_of(state, run) == "PENDING"
    assert len(end_orphaned_runs(tmp_path, state, {OURS})) == 1
    assert kind_of(state, run) == "SCHEDULED"


def test_a_server_that_refuses_is_heard(state: ServiceState) -> None:
    with pytest.raises(HTTPError):
        ask_prefect(state, "flow_runs/none/set_state", {})
