"""Health of the services over HTTP, and the checks of `mirror doctor`."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request

from mirror.errors import ServiceError, StoreError
from mirror.maintenance.health_check import CheckResult
from tasks.network import ANSWER_SECONDS, DIRECT, answers
from tasks.services import MLFLOW, POOL, PREFECT, log_path
from tasks.services.options import ServiceState, read_state
from tasks.services.supervisor import Supervisor

CONFLICT = 409
BUSY, BUSY_TRIES, BUSY_SECONDS = 503, 5, 1.0
"""Prefect's server answers 503 while its database is locked; its own clients then retry."""
DOCTOR_SECONDS = 3.0
REMEDY = "run `mirror up` to restart stopped services"


def create_pool(state: ServiceState) -> None:
    """Create the work pool, of type process, unless it exists."""
    try:
        ask_prefect(state, "work_pools/", {"name": POOL, "type": "process"})
    except HTTPError as error:
        if error.code != CONFLICT:
            raise ServiceError(
                f"the Prefect server at {state.prefect_url} refuses to create the work pool {POOL} "
                f"(HTTP {error.code}): see its log"
            ) from error


def online_workers(state: ServiceState) -> dict[str, datetime]:
    """Return the time of the last heartbeat of each worker that is online, by name."""
    workers = ask_prefect(state, f"work_pools/{quote(POOL)}/workers/filter", {})
    return {
        worker["name"]: datetime.fromisoformat(worker["last_heartbeat_time"])
        for worker in workers
        if worker["status"] == "ONLINE" and worker["last_heartbeat_time"]
    }


def ask_prefect(state: ServiceState, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return the answer of Prefect's server to a GET, or to a POST if there is a body.

    A busy server is asked again.
    """
    headers = {"Content-Type": "application/json"}
    if login := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    address = f"{state.prefect_url}/api/{path}"
    request = Request(address, data, headers)  # noqa: S310 - a server of `mirror up`
    tries = 0
    while True:
        tries += 1
        try:
            with DIRECT.open(request, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != BUSY or tries == BUSY_TRIES:
                raise
        time.sleep(BUSY_SECONDS)


def check_services(folder: Path) -> tuple[CheckResult, ...]:
    """Check that the services that `mirror up` started run and answer."""
    try:
        state = read_state(folder)
    except StoreError as fault:
        return (CheckResult("services", "warn", str(fault), "remove the file"),)
    if state is None:
        return (CheckResult("services", "ok", "none were started from this workspace"),)
    return tuple(_check_running(folder, state))


def prefect_address(folder: Path) -> str:
    """Return the address of Prefect's API if its server runs, else an empty string."""
    try:
        state = read_state(folder)
    except StoreError:
        return ""  # `check_services` reports it
    return f"{state.prefect_url}/api" if state and PREFECT in Supervisor(folder).live() else ""


def _check_running(folder: Path, state: ServiceState) -> Iterator[CheckResult]:
    live = Supervisor(folder).live()
    if dead := [name for name in (PREFECT, MLFLOW, *state.workers) if name not in live]:
        logs = ", ".join(str(log_path(folder, name)) for name in dead)
        yield CheckResult("services", "warn", f"{', '.join(dead)} does not run: {logs}", REMEDY)
    for url, path in ((state.prefect_url, "api/health"), (state.mlflow_url, "health")):
        if answers(f"{url}/{path}", DOCTOR_SECONDS):
            yield CheckResult("services", "ok", f"{url} answers")
        else:
            yield CheckResult("services", "warn", f"{url} does not answer", REMEDY)
    if PREFECT in live:
        yield _check_workers(state)


def _check_workers(state: ServiceState) -> CheckResult:
    try:
        online = sorted(online_workers(state))
    except OSError as error:
        text = f"the work pool {POOL} cannot be read ({error})"
        return CheckResult("work pool", "warn", text, "export the login of the services")
    if not online:
        text = f"no worker of the work pool {POOL} is online: scheduled runs wait"
        return CheckResult("work pool", "warn", text, REMEDY)
    return CheckResult("work pool", "ok", f"{POOL}: {', '.join(online)} online")
