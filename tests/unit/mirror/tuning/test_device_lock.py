from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mirror.errors import InputError, StoreError
from mirror.paths import CHECKOUT
from mirror.tuning import device_lock as module
from mirror.tuning.device_lock import device_lock, lock_folder, runs_per_device

HOLD = """
import time
from mirror.tuning.device_lock import device_lock
with device_lock("cpu"):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def lock_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRROR_DEVICE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.delenv("MIRROR_RUNS_PER_DEVICE", raising=False)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    return tmp_path / "locks"


def test_a_run_waits_until_the_lock_is_released() -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with device_lock("cpu", lambda seconds: waiting.set()):
            order.append("second in")

    with device_lock("cpu"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first out")
    thread.join(10)
    assert order == ["first out", "second in"]


def test_runs_per_device_may_hold_the_lock_together(monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", "2")
    with device_lock("cpu") as one, device_lock("cpu") as two:
        assert {one, two} == {0, 1}

        def wait(_seconds: float) -> None:
            raise TimeoutError

        with pytest.raises(TimeoutError), device_lock("cpu", wait):
            pass
        with device_lock("gpu-1", wait) as other:
            assert other == 0


def test_a_killed_holder_releases_the_lock_within_a_second() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    began = time.monotonic()
    with device_lock("cpu"):
        assert time.monotonic() - began < 1
    holder.stdout.close()


@pytest.mark.parametrize("value", ["0", "-1", "two", "", "²"])
def test_an_invalid_number_of_runs_per_device_is_refused(value, monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", value)
    with pytest.raises(InputError, match=r"MIRROR_RUNS_PER_DEVICE is .* set it to a number"):
        runs_per_device()


def test_a_link_instead_of_the_folder_is_refused(lock_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    lock_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="set MIRROR_DEVICE_LOCK_DIR to a folder of yours"):
        lock_folder()


def test_the_default_folder_is_private_to_this_user(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("MIRROR_DEVICE_LOCK_DIR")
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = lock_folder()
    assert folder == tmp_path / f"mirror-device-locks-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
