"""Start and stop of all services: `mirror up` and `mirror down`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from mirror.errors import ServiceError, StoreError
from mirror.secrets import without_secrets
from tasks.network import answers
from tasks.services import MLFLOW, PREFECT, WORKER, log_path
from tasks.services.database import VARIABLE, Database, create_databases
from tasks.services.health import create_pool, online_workers
from tasks.services.options import (
    ServiceOptions,
    ServiceState,
    check_ports,
    check_secrets,
    read_state,
    remove_state,
    resolve_options,
    write_state,
)
from tasks.services.orphaned_runs import end_orphaned_runs
from tasks.services.supervisor import Supervisor, end_processes, marked_processes

START_SECONDS = 300.0
"""A cold disk and a busy processor take minutes; a quiet machine takes 15 seconds."""
WORKER_SECONDS, SERVER_SECONDS = 6.0, 3.0
"""From the request to end to the kill; a worker reports the end of its run meanwhile."""
LOCK_SECONDS = 3.0
POLL_SECONDS = 0.3
LOG_CHARACTERS = 1_500
Say = Callable[[str], None]


@dataclass
class _Startup:
    """One attempt to start the services."""

    folder: Path
    state: ServiceState
    supervisor: Supervisor
    say: Say
    end: float

    def start(self, name: str) -> None:
        self.say(f"starting {name}")
        self.supervisor.start(name)

    def wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        log = log_path(self.folder, name)
        while not is_ready():
            if name not in self.supervisor.live():
                raise ServiceError(f"{name} ended before it answered: {log}{_tail(log)}")
            if time.monotonic() > self.end:
                raise ServiceError(
                    f"{name} did not answer within {START_SECONDS:.0f} s: {log}{_tail(log)}"
                )
            time.sleep(POLL_SECONDS)


def start_services(
    folder: Path, options: ServiceOptions, say: Say
) -> tuple[ServiceState, tuple[str, ...]]:
    """Start the stopped services and wait for them. Return the state and the names started.

    If a service does not answer, those that this call started are stopped again.

    Args:
        folder: of the services.
        options: what the user asks for.
        say: prints one line of progress.

    Raises:
        InputError: the options cannot be met; no service was started.
        ServiceError: a service does not answer.
        StoreError: the folder cannot be used.
    """
    with _locked(folder, START_SECONDS):
        known = read_state(folder)
        state = resolve_options(options, known)
        supervisor = Supervisor(folder)
        live = supervisor.live()
        missing = [name for name in (PREFECT, MLFLOW, *state.workers) if name not in live]
        if missing:
            _prepare(supervisor, state, missing, options.database)
        startup = _Startup(folder, state, supervisor, say, time.monotonic() + START_SECONDS)
        write_state(folder, state)
        try:
            supervisor.configure(state.workers)
            if not supervisor.is_running():
                supervisor.launch(_environment(folder, options.database))
            _stop_surplus(startup, known)
            _start_all(startup, missing)
        except BaseException:
            supervisor.stop(missing, SERVER_SECONDS)
            if known is None:
                supervisor.shut_down(SERVER_SECONDS)
                remove_state(folder)
            raise
        return state, tuple(missing)


def stop_services(folder: Path, say: Say) -> bool:
    """Stop all services of a folder and their descendants; return whether any ran.

    Raises:
        StoreError: the state cannot be read, or another command works on the folder.
        ServiceError: a process cannot be ended.
    """
    if not folder.is_dir():
        return False
    with _locked(folder, LOCK_SECONDS):
        state = read_state(folder)
        supervisor = Supervisor(folder)
        processes = marked_processes(folder)
        # Clients before the servers that they report to.
        workers = state.workers if state else ()
        for names, seconds in (
            (workers, WORKER_SECONDS),
            ((MLFLOW,), SERVER_SECONDS),
            ((PREFECT,), SERVER_SECONDS),
        ):
            if processes and names:
                say(f"stopping {', '.join(names)}")
                supervisor.stop(names, seconds)
        supervisor.shut_down(SERVER_SECONDS)
        remove_state(folder)
        return bool(processes)


def _prepare(
    supervisor: Supervisor, state: ServiceState, missing: list[str], database: Database | None
) -> None:
    servers = [name for name in missing if not name.startswith(WORKER)]
    if not supervisor.is_running():
        check_secrets(state, database)
        # A supervisord that was killed has left its processes behind.
        end_processes(supervisor.folder, SERVER_SECONDS)
    elif servers:
        supervisor.stop(servers, SERVER_SECONDS)
    check_ports(state, missing)
    if database:
        create_databases(database)


def _environment(folder: Path, database: Database | None) -> dict[str, str]:
    """Return supervisord's environment, secrets included; `launch` passes on what each may have."""
    environment = {
        **os.environ,
        "MIRROR_HOME": str(folder.parent),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    if database:
        environment[VARIABLE] = database.url.render_as_string(hide_password=False)
    return environment


def _start_all(startup: _Startup, missing: list[str]) -> None:
    state = startup.state
    for name in (PREFECT, MLFLOW):
        if name in missing:
            startup.start(name)
    startup.wait(PREFECT, lambda: answers(f"{state.prefect_url}/api/health"))
    create_pool(state)
    _end_orphaned_runs(startup, set(missing) - {PREFECT, MLFLOW})
    began = datetime.now(UTC)
    workers = [name for name in state.workers if name in missing]
    for name in workers:
        startup.start(name)
    startup.wait(MLFLOW, lambda: answers(f"{state.mlflow_url}/health"))
    for name in workers:
        startup.wait(name, partial(_is_online, state, name, began))


def _end_orphaned_runs(startup: _Startup, dead_workers: set[str]) -> None:
    try:
        names = end_orphaned_runs(startup.folder, startup.state, dead_workers)
    except OSError as error:  # no reason to stop the services again
        startup.say(f"runs without a process were not ended ({error}): run `mirror up` again")
        return
    if names:
        startup.say(f"ended runs without a process: {', '.join(names)}")


def _is_online(state: ServiceState, name: str, since: datetime) -> bool:
    try:
        seen = online_workers(state).get(name)
    except OSError:
        return False
    # A killed worker of the same name counts as online for a while.
    return seen is not None and seen >= since


def _stop_surplus(startup: _Startup, known: ServiceState | None) -> None:
    surplus = sorted(set(known.workers if known else ()) - set(startup.state.workers))
    if surplus:
        startup.say(f"stopping {', '.join(surplus)}")
        startup.supervisor.stop(surplus, WORKER_SECONDS)
        startup.supervisor.remove(surplus)


def _tail(log: Path) -> str:
    try:
        text = without_secrets(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return f"\n{text[-LOG_CHARACTERS:].strip()}"


@contextmanager
def _locked(folder: Path, seconds: float) -> Iterator[None]:
    """Create the folder and allow one `mirror up` or `mirror down` at a time in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise StoreError(
            f"another `mirror up` or `mirror down` works on {folder}: wait for it, or end it"
        ) from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): correct its permissions, or set "
            "MIRROR_HOME to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
