"""Processes are known again by their start, and end with all that they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tasks.services import processes
from tasks.services.processes import Launch, is_running, start, stop
from tasks.services.state import Started

SLEEPS = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def launch(folder: Path, code: str, name: str = "prefect") -> Launch:
    arguments = [sys.executable, "-c", code]
    return Launch(name, arguments, dict(os.environ), folder / name, folder / "logs" / f"{name}.log")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(["prefect", "mlflow"], [], tmp_path, 0)


def printed(folder: Path) -> str:
    log = folder / "logs" / "prefect.log"
    end = time.monotonic() + 30
    while not (text := log.read_text()).endswith("\n"):
        assert time.monotonic() < end
        time.sleep(0.05)
    return text


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_process_is_known_by_number_and_start(servers: Path) -> None:
    started = start(launch(servers, SLEEPS), servers)
    assert is_running(started)
    assert not is_running(replace(started, since_boot=started.since_boot - 5))
    stop(["prefect"], [started], servers, 5)
    assert not is_running(started)


def test_a_clock_that_is_set_changes_nothing(
    servers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = start(launch(servers, SLEEPS), servers)
    true, boot = psutil.Process.create_time, psutil.boot_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot - 86_400)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: true(self) - 86_400)
    assert is_running(started)


def test_a_child_that_hears_nothing_in_a_session_of_its_own_is_ended_too(servers: Path) -> None:
    started = start(launch(servers, PARENT), servers)
    child = int(printed(servers))
    assert lives(child)
    stop(["prefect"], [started], servers, 0.5)
    assert not lives(started.pid)
    assert not lives(child)


def test_what_a_killed_process_left_is_ended(servers: Path) -> None:
    started = start(launch(servers, PARENT), servers)
    child = int(printed(servers))
    os.kill(started.pid, 9)
    os.waitpid(started.pid, 0)
    stop(["prefect"], [started], servers, 0.5)
    assert not lives(child)


def test_nothing_else_is_ended(servers: Path, tmp_path: Path) -> None:
    """Not what has a known number by now, nor a process of another name or folder."""
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPS])
    other = start(launch(servers, SLEEPS, "mlflow"), servers)
    elsewhere = start(launch(tmp_path / "b", SLEEPS), tmp_path / "b")
    try:
        stop(["prefect"], [Started("prefect", stranger.pid, 1.0), other], servers, 0.2)
        assert stranger.poll() is None
        assert is_running(other)
        assert is_running(elsewhere)
    finally:
        stranger.kill()
        stranger.wait()
        stop(["prefect"], [elsewhere], tmp_path / "b", 0)


def test_a_log_that_is_long_is_put_aside(servers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 4)
    log = servers / "logs" / "prefect.log"
    log.parent.mkdir()
    log.write_text("older words")
    start(launch(servers, "print('new'); " + SLEEPS), servers)
    assert (servers / "logs" / "prefect.log.1").read_text() == "older words"
    assert log.stat().st_mode & 0o777 == 0o600
