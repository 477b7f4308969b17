"""supervisord's configuration, and the end of processes with all their descendants."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mirror.errors import ServiceError
from tasks.services import supervisor
from tasks.services.supervisor import (
    FOLDER_VARIABLE,
    NAME_VARIABLE,
    Supervisor,
    end_processes,
    marked_processes,
    socket_path,
    write_configuration,
)

SLEEP = "import time; time.sleep(60)"
IGNORE_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {IGNORE_SIGTERM!r}], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def start(folder: Path, code: str, name: str = "prefect") -> subprocess.Popen[str]:
    marks = {FOLDER_VARIABLE: str(folder), NAME_VARIABLE: name}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | marks, stdout=subprocess.PIPE, text=True
    )


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_processes(tmp_path, 0)


@pytest.mark.parametrize("is_parent_killed", [False, True])
def test_a_child_in_its_own_session_that_ignores_sigterm_is_ended(
    folder: Path, is_parent_killed: bool
) -> None:
    parent = start(folder, PARENT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if is_parent_killed:
        parent.kill()
        parent.wait()
    end_processes(folder, 0.5, lambda name: name == "prefect")
    assert not is_alive(parent.pid)
    assert not is_alive(child)


def test_processes_of_another_name_or_folder_are_left_alone(folder: Path, tmp_path: Path) -> None:
    other_name = start(folder, SLEEP, "mlflow")
    other_folder = start(tmp_path / "b", SLEEP)
    try:
        end_processes(folder, 0.2, lambda name: name == "prefect")
        assert other_name.poll() is None
        assert other_folder.poll() is None
        assert [process.pid for process in marked_processes(folder)] == [other_name.pid]
    finally:
        end_processes(tmp_path / "b", 0)


def test_the_configuration_has_no_value_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "chief:s3cret")
    monkeypatch.setenv("MIRROR_DATABASE_URL", "postgresql://chief:s3cret@host/mirror")
    write_configuration(tmp_path, ["worker-1", "worker-2"])
    text = (tmp_path / "supervisord.conf").read_text()
    assert "s3cret" not in text
    names = ("prefect", "mlflow", "worker-1", "worker-2")
    assert all(f"[program:{name}]" in text for name in names)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_supervisord_starts_restarts_and_ends_its_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = supervisor.PROGRAM.replace("-m tasks.services.launch {name}", "-c 'input()'")
    monkeypatch.setattr(supervisor, "PROGRAM", program)
    daemon = Supervisor(folder / "100% mine")
    daemon.folder.mkdir()
    assert not daemon.is_running()
    assert daemon.live() == set()
    daemon.configure(["worker-1"])
    daemon.launch(os.environ)
    try:
        assert daemon.is_running()
        assert socket_path(daemon.folder).stat().st_mode & 0o777 == 0o700
        daemon.start("prefect")
        daemon.start("worker-1")
        daemon.configure(["worker-1", "worker-2"])
        daemon.start("worker-2")
        assert daemon.live() == {"prefect", "worker-1", "worker-2"}
        killed = daemon.pids()["prefect"]
        os.kill(killed, 9)
        end = time.monotonic() + 20
        while daemon.pids().get("prefect", killed) == killed:
            assert time.monotonic() < end
            time.sleep(0.1)
        daemon.stop(["worker-2"], 3)
        daemon.remove(["worker-2"])
        assert set(daemon.pids()) == {"prefect", "worker-1"}
        with pytest.raises(ServiceError, match="worker-9 cannot be started"):
            daemon.start("worker-9")
        for log in (daemon.folder / "logs").iterdir():
            assert log.stat().st_mode & 0o777 == 0o600, log
    finally:
        daemon.shut_down(5)
    assert marked_processes(daemon.folder) == []
    assert not daemon.is_running()


def test_a_long_path_gets_a_private_socket_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / ("long" * 30)
    socket = socket_path(folder)
    assert not socket.is_relative_to(folder)
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert socket_path(folder) == socket
    assert socket_path(folder / "b") != socket
