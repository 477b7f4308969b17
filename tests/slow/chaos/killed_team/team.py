"""Servers, worker and deployment of a team, and queries of their runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import yaml

from tasks.services.supervisor import marked_processes
from tests.fixtures.flows import api_client
from tests.fixtures.team import Team
from tests.slow.chaos.killed_team.cluster import Cluster

DEPLOYMENT = "run-recipe/en-tiny"
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
TUNING = "mirror.tuning.worker"


@dataclass
class DeployedTeam(Team):
    """A team on a PostgreSQL server; runs have workspaces of their own."""

    cluster: Cluster
    deployment: str = ""

    @property
    def ask(self) -> Callable[..., Any]:
        """A function that sends a request to Prefect's server."""
        return api_client(f"http://127.0.0.1:{self.ports[0]}/api")

    @property
    def tracking(self) -> str:
        """MLflow's server."""
        return f"http://127.0.0.1:{self.ports[1]}"

    def deploy(self, settings: dict[str, Any]) -> None:
        """Deploys one recipe with settings such as those in prefect.yaml."""
        name = DEPLOYMENT.partition("/")[2]
        made = settings | {"name": name, "tags": ["faults"], "schedules": []}
        file = self.home.parent / "prefect.yaml"
        file.write_text(yaml.safe_dump({"name": "faults", "deployments": [made]}))
        self.mirror("deploy", "--yes", "--file", str(file))
        self.deployment = self.ask(f"deployments/name/{DEPLOYMENT}")["id"]

    def start_run(self, recipe: Path, home: Path) -> str:
        """Has the worker run a recipe in a workspace of its own; returns the run's id."""
        wanted = {
            "parameters": {"recipe": str(recipe)},
            "job_variables": {"env": {"MIRROR_HOME": str(home)}},
        }
        return str(self.ask(f"deployments/{self.deployment}/create_flow_run", wanted)["id"])

    def state_of(self, run: str) -> tuple[str, str]:
        """Return type and message of a run's state; empty if the server does not answer."""
        with suppress(OSError, ValueError):
            state = self.ask(f"flow_runs/{run}")["state"]
            return state["type"], f"{state['name']}: {state['message']}"
        return "", ""

    def keeps_place(self, run: str) -> bool:
        """Whether a run, where it runs, has its place among its deployment's for some time more.

        Without it Prefect ends the run when it next asks, which takes minutes.
        """
        state = self.ask(f"flow_runs/{run}")["state"]
        if state["type"] != "RUNNING":
            return True
        place = state["state_details"]["deployment_concurrency_lease_id"]
        try:
            self.ask(f"v2/concurrency_limits/leases/{place}/renew", {"lease_duration": 300})
        except HTTPError:
            return self.ask(f"flow_runs/{run}")["state"]["type"] != "RUNNING"
        return True

    def await_end(self, run: str, seconds: float) -> tuple[str, str]:
        """The state that a run ends in, or is in when the time is over."""
        end = time.monotonic() + seconds
        while True:
            kind, message = self.state_of(run)
            if kind in ENDS or time.monotonic() > end:
                return kind, message
            time.sleep(1)

    def processes(self) -> list[psutil.Process]:
        """All that `mirror up` started, and all that those started."""
        return marked_processes(self.home / "servers")


def of_workspace(home: Path) -> list[psutil.Process]:
    """All processes that work in a workspace."""

    def works(process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            there = process.environ().get("MIRROR_HOME") == str(home)
            return there and process.status() != psutil.STATUS_ZOMBIE
        return False

    return [process for process in psutil.process_iter() if works(process)]


def is_tuning(process: psutil.Process) -> bool:
    """Return whether a process tunes."""
    with suppress(psutil.Error):
        return TUNING in process.cmdline()
    return False


def await_process(find: Callable[[], list[psutil.Process]], seconds: float) -> psutil.Process:
    """The first process that is found."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, "no such process came to be"
        time.sleep(0.3)
    return found[0]
