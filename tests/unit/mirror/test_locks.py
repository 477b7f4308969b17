"""Holders of a lock: processes, containers and machines, running, killed or silent."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import SoftFileLease

from mirror import locks
from mirror.errors import StoreError
from mirror.locks import BusyError, exclusive_lock
from mirror.paths import CHECKOUT

STALE = 3.0
HOLD = f"""
import fcntl, socket, sys, time
from pathlib import Path
from mirror import locks
from mirror.errors import StoreError

locks.BEAT_SECONDS, locks.STALE_SECONDS = 0.1, {STALE}
kernel, path, log, times = sys.argv[1:]
if kernel != "ours":  # another machine, on a file system without flock
    locks.SHARED_KERNEL = Path(kernel)
    socket.gethostname = lambda: Path(kernel).name
    fcntl.flock = lambda *_: None
try:
    for _ in range(int(times)):
        with locks.exclusive_lock(Path(path)) as check, open(log, "a") as entries:
            print("held", flush=True)
            print("in", file=entries, flush=True)
            time.sleep(0.2) if int(times) > 1 else sys.stdin.readline()
            print("out", file=entries, flush=True)
            check()
except StoreError as error:
    print(error, flush=True)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], str]:
    """Make another machine, given its host's name."""

    def make(name: str) -> str:
        (tmp_path / name).write_text(f"the kernel of {name}\n")
        return str(tmp_path / name)

    return make


@pytest.fixture
def hold(lock: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that holds the lock `times` times, or once until it reads a line."""
    started: list[subprocess.Popen[str]] = []

    def start(
        kernel: str = "ours", times: int = 1, before: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        arguments = [kernel, str(lock), str(tmp_path / "log"), str(times)]
        process = subprocess.Popen(
            [*before, sys.executable, "-c", HOLD, *arguments],
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(locks, "STALE_SECONDS", STALE)
    monkeypatch.setattr(locks, "WARN_SECONDS", 0.2)


def lease_path(lock: Path) -> Path:
    return lock.with_name("a.lock.held")


def lease_of(lock: Path) -> SoftFileLease:
    return SoftFileLease(lease_path(lock), lease_duration=STALE)


def seconds_to_acquire(lock: Path) -> float:
    began = time.monotonic()
    with exclusive_lock(lock) as check:
        check()
        return time.monotonic() - began


def wait_for_held(process: subprocess.Popen[str]) -> None:
    assert process.stdout.readline() == "held\n"


def test_machines_hold_a_lock_in_turn_without_locks_of_the_kernel(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path, tmp_path: Path
) -> None:
    processes = [hold(machine(name), times=6) for name in ("one", "other", "third")]
    for process in processes:
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 18
    assert not lease_path(lock).exists()


def test_containers_of_one_machine_hold_a_lock_in_turn(
    hold: Callable[..., Any], lock: Path, tmp_path: Path
) -> None:
    namespace = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"]).returncode:
        pytest.skip("namespaces of processes cannot be made here")
    processes = [hold(times=6, before=namespace) for _ in range(3)]
    for process in processes:
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 18
    killed = hold(before=namespace)
    wait_for_held(killed)
    assert lease_of(lock).owner.pid < 10  # a number that another process has outside
    killed.kill()
    killed.wait()
    assert seconds_to_acquire(lock) < STALE


def test_a_lock_of_a_killed_process_of_this_machine_is_free_at_once(
    hold: Callable[..., Any], lock: Path
) -> None:
    process = hold()
    wait_for_held(process)
    process.kill()
    process.wait()
    assert lease_path(lock).exists()
    assert seconds_to_acquire(lock) < STALE


def test_a_lock_of_another_machine_is_taken_over_when_its_lease_is_stale(
    hold: Callable[..., Any],
    machine: Callable[[str], str],
    lock: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = hold(machine("far-host"))
    wait_for_held(process)
    process.kill()
    process.wait()
    with caplog.at_level(logging.WARNING):
        assert STALE < seconds_to_acquire(lock) < 3 * STALE
    [waits] = (record.getMessage() for record in caplog.records)
    assert waits == f"waiting for process {process.pid} on far-host, which holds {lock}"
    assert not lease_path(lock).exists()


def test_a_lock_of_another_machine_is_kept_while_its_lease_is_renewed(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host"))
    wait_for_held(process)
    waiter = hold(machine("other"))
    time.sleep(1.5 * STALE)
    assert lease_of(lock).owner.hostname.startswith("far-host")
    process.stdin.write("\n")
    process.stdin.flush()
    wait_for_held(waiter)
    assert process.communicate(timeout=30)[0] == ""


def test_a_process_that_lost_its_lock_fails_its_check_and_keeps_the_new_lease(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host"))
    wait_for_held(process)
    process.send_signal(signal.SIGSTOP)
    with exclusive_lock(lock) as check:
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate("\n", timeout=30)
        assert output.startswith(f"another machine took over the lock {lock}")
        check()


def test_an_incomplete_lease_becomes_stale(lock: Path) -> None:
    lease_path(lock).write_bytes(b"filelock/2\npid=")
    assert seconds_to_acquire(lock) < 3 * STALE


@pytest.mark.parametrize("far", [False, True])
def test_a_process_that_does_not_wait_gets_the_holder_in_its_error(
    far: bool, hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host") if far else "ours")
    wait_for_held(process)
    with (
        pytest.raises(BusyError, match=f"held by process {process.pid} on "),
        exclusive_lock(lock, wait=False),
    ):
        pass


def test_a_file_system_without_kernel_locks_has_the_lease_alone(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise OSError(locks.NO_KERNEL_LOCKS[0], "no locks here")

    monkeypatch.setattr(fcntl, "flock", lacking)
    with exclusive_lock(lock), pytest.raises(BusyError), exclusive_lock(lock, wait=False):
        pass
    assert seconds_to_acquire(lock) < STALE


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "absent").touch()
    with pytest.raises(StoreError, match=r"absent/a\.lock cannot be written .*MIRROR_HOME"):
        seconds_to_acquire(tmp_path / "absent" / "a.lock")
