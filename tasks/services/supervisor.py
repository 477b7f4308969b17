"""Process control: supervisord is configured, started, asked and shut down here.

supervisord restarts a process that dies, rotates the logs and allows one instance per folder.
Its control socket and the folder are accessible to their owner only.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from mirror.errors import ServiceError, StoreError
from tasks.services import MLFLOW, PREFECT, WORKER

FOLDER_VARIABLE = "MIRROR_SERVICES"
"""In the environment of supervisord and of all its descendants: the folder they belong to."""
NAME_VARIABLE = "SUPERVISOR_PROCESS_NAME"
"""Set by supervisord in the environment of each process, and inherited by its descendants."""
LIVE_STATES = ("STARTING", "RUNNING")
SOCKET_BYTES = 90
"""A longer path leaves no room for the suffix that supervisord appends, below the limit of 104."""
POLL_SECONDS = 0.1
START_SECONDS = 60
KILL_SECONDS = 3.0
# Relative paths, since supervisord's current folder is that of the services: it expands some
# options twice, so no way to escape a % in an absolute path would be right for all.
MAIN = """\
[unix_http_server]
file = {socket}
chmod = 0700

[supervisord]
logfile = logs/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = supervisord.pid
umask = 077

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
command = {python} -m tasks.services.launch {name}
directory = {directory}
umask = {umask:03o}
autostart = false
autorestart = true
startsecs = 10
startretries = 20
stopasgroup = true
stopwaitsecs = 10
redirect_stderr = true
stdout_logfile = logs/{name}.log
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 1
"""


class Supervisor:
    """The supervisord of one services folder, running or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{socket_path(self.folder)}")
        return ServerProxy("http://127.0.0.1", transport).supervisor

    def is_running(self) -> bool:
        """Return whether supervisord answers on its socket."""
        try:
            return bool(self._rpc.getState())
        except OSError:
            return False

    def pids(self) -> dict[str, int]:
        """Return the process ids of the live processes by name."""
        return {name: info["pid"] for name, info in self._processes().items() if info["pid"]}

    def live(self) -> set[str]:
        """Return the names of the processes that are starting or running."""
        processes = self._processes().items()
        return {name for name, info in processes if info["statename"] in LIVE_STATES}

    def _processes(self) -> dict[str, Mapping[str, Any]]:
        try:
            return {info["name"]: info for info in self._rpc.getAllProcessInfo()}
        except OSError:
            return {}

    def configure(self, workers: Sequence[str]) -> None:
        """Write the configuration; a running supervisord learns of workers that are new."""
        write_configuration(self.folder, workers)
        if self.is_running():
            self._rpc.reloadConfig()
            for name in set(workers) - set(self._processes()):
                self._rpc.addProcessGroup(name)

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start supervisord itself, as a daemon without any process yet."""
        configuration = str(_configuration(self.folder))
        started = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", configuration],
            cwd=self.folder,
            env={**environment, FOLDER_VARIABLE: str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            umask=0o077,
        )
        if started.returncode:
            raise ServiceError(
                f"supervisord does not start with {configuration}: "
                f"{started.stderr.strip() or started.stdout.strip()}"
            )

    def start(self, name: str) -> None:
        """Start one process that does not run."""
        with suppress(Fault):
            self._rpc.stopProcess(name)  # ends the wait before the next retry
        try:
            self._rpc.startProcess(name, False)
        except Fault as fault:
            raise ServiceError(f"{name} cannot be started: {fault.faultString}") from fault

    def stop(self, names: Iterable[str], seconds: float) -> None:
        """Stop processes and their descendants; those left after `seconds` are killed."""
        names = set(names)
        for name in names:
            with suppress(Fault, OSError):
                self._rpc.stopProcess(name, False)
        end_processes(self.folder, seconds, lambda name: name in names)

    def remove(self, names: Iterable[str]) -> None:
        """Remove stopped processes from a running supervisord."""
        for name in names:
            while True:
                try:
                    self._rpc.removeProcessGroup(name)
                except Fault as fault:
                    if "STILL_RUNNING" not in fault.faultString:
                        break
                    time.sleep(POLL_SECONDS)
                else:
                    break

    def shut_down(self, seconds: float) -> None:
        """End supervisord and every process that carries its mark, descendants included."""
        with suppress(Fault, OSError):
            self._rpc.shutdown()
        end_processes(self.folder, seconds)


def socket_path(folder: Path) -> Path:
    """Return the control socket, in a private temporary folder if its path is too long."""
    path = folder / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"mirror-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StoreError(f"{private} is accessible to other users: remove it, or set TMPDIR")
    return private / path.name


def write_configuration(folder: Path, workers: Sequence[str]) -> None:
    """Write supervisord.conf; it contains no secret, environments carry those."""
    umask = os.umask(0)
    os.umask(umask)
    text = MAIN.format(socket=str(socket_path(folder)).replace("%", "%%"))
    for name in (PREFECT, MLFLOW, *workers):
        directory = name if name in (PREFECT, MLFLOW) else WORKER
        for private in (folder / directory, folder / "logs"):
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
        python = shlex.quote(sys.executable).replace("%", "%%")
        text += PROGRAM.format(name=name, python=python, directory=directory, umask=umask)
    _configuration(folder).write_text(text, encoding="utf-8")


def _configuration(folder: Path) -> Path:
    return folder / "supervisord.conf"


def marked_processes(
    folder: Path, matches: Callable[[str], bool] = lambda _name: True
) -> list[psutil.Process]:
    """Return the processes of a services folder, descendants included.

    Args:
        folder: of the services.
        matches: whether a process is included, by the name of the service it descends from.
    """
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # processes of other users, or just ended
            environment = process.environ()
            belongs = environment.get(FOLDER_VARIABLE) == str(folder)
            if belongs and matches(environment.get(NAME_VARIABLE, "")) and _is_alive(process):
                marked.append(process)
    return [process for process in marked if process.pid != os.getpid()]


def end_processes(
    folder: Path, seconds: float, matches: Callable[[str], bool] = lambda _name: True
) -> None:
    """Terminate the processes of a services folder; kill those that are left after `seconds`."""
    end = time.monotonic() + seconds
    remaining = marked_processes(folder, matches)
    for process in remaining:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    while remaining and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        remaining = [process for process in remaining if _is_alive(process)]
    end = time.monotonic() + KILL_SECONDS
    while remaining := marked_processes(folder, matches):
        if time.monotonic() > end:
            pids = ", ".join(str(process.pid) for process in remaining)
            raise ServiceError(f"process {pids} cannot be ended: end it with the system's tools")
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(POLL_SECONDS)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
