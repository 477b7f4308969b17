"""Brings up what is not there, and waits until all of it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mirror.errors import ServiceError
from tasks.network import without_secrets
from tasks.services.commands import launch_of, log_of
from tasks.services.database import Database, prepare
from tasks.services.health import answers, make_pool, online_workers
from tasks.services.lock import locked
from tasks.services.options import (
    ServiceOptions,
    check_ports,
    check_secrets,
    resolve_options,
    worker_names,
)
from tasks.services.orphaned_runs import tell_abandoned
from tasks.services.processes import is_running, start, stop
from tasks.services.state import MLFLOW, PREFECT, ServerState, read_state, remove_state, write_state
from tasks.services.stopping import LEFTOVER_SECONDS, WORKER_SECONDS

START_SECONDS = 300.0
"""A cold disk and a busy processor take minutes; a quiet machine takes 15 seconds."""
POLL_SECONDS = 0.3
LOG_CHARACTERS = 1_500
Say = Callable[[str], None]


@dataclass
class _Startup:
    """One attempt to bring the servers up; `state` is on the disk at every moment."""

    folder: Path
    state: ServerState
    database: Database | None
    say: Say
    end: float

    def launch(self, name: str) -> None:
        self.say(f"starting {name}")
        started = start(launch_of(name, self.state, self.folder, self.database), self.folder)
        self.state = self.state.with_process(started)
        write_state(self.folder, self.state)

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        while not ready():
            running = any(is_running(known) for known in self.state.processes if known.name == name)
            log = log_of(self.folder, name)
            if not running:
                raise ServiceError(f"{name} ended before it answered: {log}{_end_of(log)}")
            if time.monotonic() > self.end:
                raise ServiceError(
                    f"{name} did not answer within {START_SECONDS:.0f} s: {log}{_end_of(log)}"
                )
            time.sleep(POLL_SECONDS)


def bring_up(folder: Path, wanted: ServiceOptions, say: Say) -> tuple[ServerState, tuple[str, ...]]:
    """Starts the servers and workers that do not run; returns the state and what was started.

    What this call started is stopped again if not all of it comes to answer.

    Args:
        folder: where the state is.
        wanted: what is asked for.
        say: is told what is being done.

    Raises:
        InputError: what is asked for cannot be; nothing was started.
        ServiceError: something does not come to answer.
        StoreError: the folder cannot be used.
    """
    with locked(folder, START_SECONDS):
        known = read_state(folder)
        state = resolve_options(wanted, known)
        workers = worker_names(wanted, state.processes)
        running = {process.name for process in state.processes if is_running(process)}
        missing = [name for name in (PREFECT, MLFLOW, *workers) if name not in running]
        if missing:
            _prepare(folder, state, missing, wanted.database)
        attempt = _Startup(folder, state, wanted.database, say, time.monotonic() + START_SECONDS)
        _stop_surplus(attempt, workers)
        try:
            _start_all(attempt, missing, workers)
        except BaseException:
            _rollback(attempt, missing, known)
            raise
        return attempt.state, tuple(missing)


def _prepare(
    folder: Path, state: ServerState, missing: list[str], database: Database | None
) -> None:
    check_secrets(state, database)
    for name in missing:
        # A server that was killed may leave children that hold its port.
        if name in (PREFECT, MLFLOW):
            stop([name], state.processes, folder, LEFTOVER_SECONDS)
    check_ports(state, missing)
    if database:
        prepare(database)


def _start_all(attempt: _Startup, missing: list[str], workers: list[str]) -> None:
    state = attempt.state
    for name in (PREFECT, MLFLOW):
        if name in missing:
            attempt.launch(name)
    attempt.wait(PREFECT, lambda: answers(f"{state.prefect_url}/api/health"))
    make_pool(state)
    _tell_abandoned(attempt, set(missing))
    began = datetime.now(UTC)
    for name in workers:
        if name in missing:
            attempt.launch(name)
    attempt.wait(MLFLOW, lambda: answers(f"{state.mlflow_url}/health"))
    for name in workers:
        if name in missing:
            attempt.wait(name, partial(_is_online, state, name, began))


def _tell_abandoned(attempt: _Startup, missing: set[str]) -> None:
    try:
        told = tell_abandoned(attempt.folder, attempt.state, missing - {PREFECT, MLFLOW})
    except OSError as error:  # no reason to take everything down again
        attempt.say(f"runs that were killed are not told of ({error}): `mirror up` again")
        return
    if told:
        attempt.say(f"was killed: {', '.join(told)}")


def _is_online(state: ServerState, name: str, since: datetime) -> bool:
    try:
        seen = online_workers(state).get(name)
    except OSError:
        return False
    # One of the same name that was killed is held to be there for a while.
    return seen is not None and seen >= since


def _stop_surplus(attempt: _Startup, workers: list[str]) -> None:
    known = attempt.state.processes
    if surplus := [
        process for process in known if process.is_worker and process.name not in workers
    ]:
        attempt.say(f"stopping {', '.join(process.name for process in surplus)}")
        names = {process.name for process in surplus}
        stop(names, surplus, attempt.folder, WORKER_SECONDS)
        attempt.state = attempt.state.without(names)
        write_state(attempt.folder, attempt.state)


def _rollback(attempt: _Startup, missing: list[str], known: ServerState | None) -> None:
    stop(missing, attempt.state.processes, attempt.folder, LEFTOVER_SECONDS)
    if known is None:
        remove_state(attempt.folder)


def _end_of(log: Path) -> str:
    try:
        text = without_secrets(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return f"\n{text[-LOG_CHARACTERS:].strip()}"
