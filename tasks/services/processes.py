"""Processes that outlive the command that starts them: started, known again, stopped."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mirror.errors import ServiceError
from tasks.services.state import Started

MARK = "MIRROR_SERVER"
"""In the environment of all that is started, and so of what that starts: whose it is."""
SAME_SECONDS = 0.5
POLL_SECONDS = 0.1
KILL_SECONDS = 3.0
LOG_BYTES = 20 << 20
"""A longer log is put aside when its process is started again; one older one is kept."""


@dataclass(frozen=True)
class Launch:
    """How a process is started."""

    name: str
    arguments: Sequence[str]
    """Seen by everyone on the machine: nothing secret."""
    environment: Mapping[str, str]
    folder: Path
    """Its current folder."""
    log: Path


def start(launch: Launch, servers: Path) -> Started:
    """Starts a process in a session of its own, with its log in a file that only we may read."""
    for folder in (launch.folder, launch.log.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if launch.log.exists() and launch.log.stat().st_size > LOG_BYTES:
        launch.log.replace(launch.log.with_suffix(".log.1"))
    with os.fdopen(os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        process = subprocess.Popen(
            launch.arguments,
            cwd=launch.folder,
            env={**launch.environment, MARK: _mark(servers, launch.name)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return Started(launch.name, process.pid, _since_boot(psutil.Process(process.pid)))
    except psutil.NoSuchProcess as error:
        raise ServiceError(
            f"{launch.name} ended as soon as it was started: {launch.log}"
        ) from error


def is_running(started: Started) -> bool:
    """Whether it is this process that has the number, not a later one that was given it."""
    try:
        process = psutil.Process(started.pid)
        same = abs(_since_boot(process) - started.since_boot) < SAME_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(names: Iterable[str], known: Iterable[Started], servers: Path, seconds: float) -> None:
    """Ends the processes of these names and what they started: asked first, killed after `seconds`.

    Args:
        names: of processes, which may be gone and have left children.
        known: processes that were started; those of other names are left alone.
        servers: the folder that they were started from.
        seconds: from the request to end to the kill.

    Raises:
        ServiceError: one cannot be ended.
    """
    names = set(names)
    leaders = tuple(started for started in known if started.name in names)
    end = time.monotonic() + seconds
    _signal(family := _family(names, leaders, servers), kill=False)
    while family and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        family = [process for process in family if _lives(process)]
    end = time.monotonic() + KILL_SECONDS
    while family := _family(names, leaders, servers):
        if time.monotonic() > end:
            left = ", ".join(str(process.pid) for process in family)
            raise ServiceError(f"process {left} cannot be ended: see to it with the system's tools")
        _signal(family, kill=True)
        time.sleep(POLL_SECONDS)


def of_servers(servers: Path) -> list[psutil.Process]:
    """All processes that were started from this folder, and those that they started."""
    return _marked(lambda mark: mark.endswith(_mark(servers, "")))


def _family(
    names: Iterable[str], leaders: Iterable[Started], servers: Path
) -> list[psutil.Process]:
    marks = {_mark(servers, name) for name in names}
    found = _marked(lambda mark: mark in marks)
    for started in leaders:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(started.pid)
            if is_running(started) and process not in found:
                found.append(process)
    return found


def _marked(is_ours: Callable[[str], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # others' processes, and those that have just ended
            if is_ours(process.environ().get(MARK, "")) and _lives(process):
                found.append(process)
    return found


def _mark(servers: Path, name: str) -> str:
    return f"{name} of {servers}"


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Iterable[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill() if kill else process.terminate()


def _since_boot(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())
