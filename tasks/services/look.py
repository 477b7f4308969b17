"""Looks at the servers for `mirror doctor`; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mirror.errors import StoreError
from mirror.maintenance.health_check import CheckResult
from mirror.maintenance.network import TIMEOUT_SECONDS
from tasks.services import POOL
from tasks.services.commands import log_of
from tasks.services.health import answers, online_workers
from tasks.services.processes import is_running
from tasks.services.state import PREFECT, ServerState, read_state

HEAL = "`mirror up` starts what has died"


def look_at_servers(folder: Path) -> tuple[CheckResult, ...]:
    """Whether what `mirror up` started runs and answers, and the pool has its workers."""
    try:
        state = read_state(folder)
    except StoreError as fault:
        return (CheckResult("servers", "warn", str(fault), "see to the file"),)
    if state is None:
        return (CheckResult("servers", "ok", "none were brought up from this workspace"),)
    return tuple(_findings(folder, state))


def prefect_address(folder: Path) -> str:
    """The address of Prefect's API, if its server was brought up and runs; else nothing."""
    try:
        state = read_state(folder)
    except StoreError:
        return ""  # which `look_at_servers` tells
    if state is None:
        return ""
    runs = any(known.name == PREFECT and is_running(known) for known in state.processes)
    return f"{state.prefect_url}/api" if runs else ""


def _findings(folder: Path, state: ServerState) -> Iterator[CheckResult]:
    running = {process.name for process in state.processes if is_running(process)}
    dead = [process.name for process in state.processes if process.name not in running]
    if dead:
        logs = ", ".join(str(log_of(folder, name)) for name in dead)
        yield CheckResult("servers", "warn", f"{', '.join(dead)} ended by itself: {logs}", HEAL)
    for url, path in ((state.prefect_url, "api/health"), (state.mlflow_url, "health")):
        if answers(f"{url}/{path}", TIMEOUT_SECONDS):
            yield CheckResult("servers", "ok", f"{url} answers")
        else:
            yield CheckResult("servers", "warn", f"{url} does not answer", HEAL)
    if PREFECT in running:
        yield _workers(state)


def _workers(state: ServerState) -> CheckResult:
    try:
        online = sorted(online_workers(state))
    except OSError as error:
        text = f"the work pool {POOL} cannot be looked at ({error})"
        return CheckResult("work pool", "warn", text, "export the login that the servers have")
    if not online:
        text = f"no worker of the work pool {POOL} is online: what is scheduled waits"
        return CheckResult("work pool", "warn", text, HEAL)
    return CheckResult("work pool", "ok", f"{POOL}: {', '.join(online)} online")
