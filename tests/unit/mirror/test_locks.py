"""Who holds a lock, between processes, containers and machines, and when its holder dies."""

from __future__ import annotations

import json
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

from mirror import locks
from mirror.errors import StoreError
from mirror.locks import BusyError, exclusive_lock
from mirror.paths import CHECKOUT

DEAD = 3.0
HOLD = f"""
import fcntl, platform, sys, time
from pathlib import Path
from mirror import locks
from mirror.errors import StoreError

locks.BEAT_SECONDS, locks.DEAD_SECONDS = 0.1, {DEAD}
kernel, path, log, times = sys.argv[1:]
if kernel != "ours":  # another machine, and a folder that does not carry flock there
    locks.SHARED_KERNEL = Path(kernel)
    platform.node = lambda: Path(kernel).name
    fcntl.flock = lambda *_: None
try:
    for _ in range(int(times)):
        with locks.exclusive_lock(Path(path)) as check, open(log, "a") as told:
            print("held", flush=True)
            print("in", file=told, flush=True)
            time.sleep(0.2) if int(times) > 1 else sys.stdin.readline()
            print("out", file=told, flush=True)
            check()
except StoreError as error:
    print(error, flush=True)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], str]:
    """Makes another machine, by its host's name."""

    def make(name: str) -> str:
        (tmp_path / name).write_text(f"the kernel of {name}\n")
        return str(tmp_path / name)

    return make


@pytest.fixture
def hold(lock: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that holds the lock, so many times or until it is told to go on."""
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
    monkeypatch.setattr(locks, "DEAD_SECONDS", DEAD)
    monkeypatch.setattr(locks, "TELL_SECONDS", 0.2)


def note_of(lock: Path) -> Path:
    return lock.with_name("a.lock.held")


def seconds_to_hold(lock: Path) -> float:
    began = time.monotonic()
    with exclusive_lock(lock) as check:
        check()
        return time.monotonic() - began


def wait_for_held(process: subprocess.Popen[str]) -> None:
    assert process.stdout.readline() == "held\n"


def test_two_machines_hold_it_in_turn_though_the_folder_carries_no_locks_of_the_kernel(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path, tmp_path: Path
) -> None:
    processes = [hold(machine(name), times=6) for name in ("one", "other", "third")]
    for process in processes:
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 18
    assert not note_of(lock).exists()


def test_two_containers_of_one_machine_hold_it_in_turn(
    hold: Callable[..., Any], lock: Path, tmp_path: Path
) -> None:
    apart = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*apart, "true"]).returncode:
        pytest.skip("namespaces of processes cannot be made here")
    processes = [hold(times=6, before=apart) for _ in range(3)]
    for process in processes:
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 18
    killed = hold(before=apart)
    wait_for_held(killed)
    held = json.loads(note_of(lock).read_bytes())
    assert held["pid"] < 10  # a number that another process has outside
    killed.kill()
    killed.wait()
    assert seconds_to_hold(lock) < DEAD


def test_a_killed_process_of_this_machine_is_not_waited_for(
    hold: Callable[..., Any], lock: Path
) -> None:
    process = hold()
    wait_for_held(process)
    process.kill()
    process.wait()
    assert note_of(lock).exists()
    assert seconds_to_hold(lock) < DEAD


def test_a_dead_machine_is_waited_for_no_longer_than_it_may_be_silent(
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
        assert DEAD < seconds_to_hold(lock) < 3 * DEAD
    waits, takes = (record.getMessage() for record in caplog.records)
    assert waits == f"waiting for process {process.pid} on far-host, which holds {lock}"
    assert takes.startswith(f"process {process.pid} on far-host left its note")
    assert not note_of(lock).exists()


def test_a_machine_that_lives_is_waited_for(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host"))
    wait_for_held(process)
    waiter = hold(machine("other"))
    time.sleep(1.5 * DEAD)
    assert json.loads(note_of(lock).read_bytes())["host"] == "far-host"
    process.stdin.write("\n")
    process.stdin.flush()
    wait_for_held(waiter)
    assert process.communicate(timeout=30)[0] == ""


def test_who_was_silent_for_too_long_is_told_and_leaves_the_others_note(
    hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host"))
    wait_for_held(process)
    process.send_signal(signal.SIGSTOP)
    with exclusive_lock(lock) as check:
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate("\n", timeout=30)
        assert said.startswith(f"another machine took over {lock} from this one")
        check()


def test_a_note_that_was_not_written_whole_is_a_dead_ones(lock: Path) -> None:
    note_of(lock).write_bytes(b'{"kernel": "')
    assert DEAD < seconds_to_hold(lock) < 3 * DEAD


@pytest.mark.parametrize("far", [False, True])
def test_who_does_not_wait_is_told_who_holds_it(
    far: bool, hold: Callable[..., Any], machine: Callable[[str], str], lock: Path
) -> None:
    process = hold(machine("far-host") if far else "ours")
    wait_for_held(process)
    with (
        pytest.raises(BusyError, match=f"held by process {process.pid} on "),
        exclusive_lock(lock, wait=False),
    ):
        pass


def test_where_there_is_no_lock_of_the_kernel_at_all_the_note_is_one(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise OSError(locks.NO_KERNEL_LOCKS[0], "no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", lacking)
    with exclusive_lock(lock), pytest.raises(BusyError), exclusive_lock(lock, wait=False):
        pass
    assert seconds_to_hold(lock) < DEAD


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/a\.lock cannot be written .*MIRROR_HOME"):
        seconds_to_hold(tmp_path / "absent" / "a.lock")
