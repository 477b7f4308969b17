"""Places on a device: as many as allowed, whoever asks, and none lost with the dead."""

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
from mirror.tuning import device_lock
from mirror.tuning.device_lock import device_slot, runs_per_device, slots_folder

HOLD = """
import time
from mirror.tuning.device_lock import device_slot
with device_slot("cpu"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRROR_DEVICE_LOCK_DIR", str(tmp_path / "slots"))
    monkeypatch.delenv("MIRROR_RUNS_PER_DEVICE", raising=False)
    monkeypatch.setattr(device_lock, "LOOK_SECONDS", 0.02)
    return tmp_path / "slots"


def test_one_waits_until_the_other_has_left() -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with device_slot("cpu", lambda seconds: waiting.set()):
            order.append("second in")

    with device_slot("cpu"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first out")
    thread.join(10)
    assert order == ["first out", "second in"]


def test_as_many_as_allowed_are_in_at_a_time(monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", "2")
    with device_slot("cpu") as one, device_slot("cpu") as two:
        assert {one, two} == {0, 1}

        def wait(_seconds: float) -> None:
            raise TimeoutError

        with pytest.raises(TimeoutError), device_slot("cpu", wait):
            pass
        with device_slot("gpu-1", wait) as other:
            assert other == 0


def test_the_dead_give_their_place_back_within_a_second() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    began = time.monotonic()
    with device_slot("cpu"):
        assert time.monotonic() - began < 1
    holder.stdout.close()


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "", "²"])
def test_a_number_of_places_that_is_none_is_refused(wrong, monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", wrong)
    with pytest.raises(InputError, match=r"MIRROR_RUNS_PER_DEVICE is .* set it to a number"):
        runs_per_device()


def test_a_link_in_the_folders_place_is_refused(places: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    places.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="set MIRROR_DEVICE_LOCK_DIR to a folder of yours"):
        slots_folder()


def test_the_usual_folder_is_this_users_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("MIRROR_DEVICE_LOCK_DIR")
    monkeypatch.setattr(device_lock.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = slots_folder()
    assert folder == tmp_path / f"mirror-slots-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
