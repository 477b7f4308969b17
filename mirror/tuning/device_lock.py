"""Places on a device: how many tuning runs may use it at a time, whoever started them.

A place is a file's lock, which the kernel frees when its holder dies, however that came about.  So
it works across processes, workers and workspaces of one user and machine, with a server or without.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mirror.errors import InputError, StoreError

RUNS_PER_DEVICE = "MIRROR_RUNS_PER_DEVICE"
SLOTS = "MIRROR_DEVICE_LOCK_DIR"
LOOK_SECONDS = 0.5


@contextmanager
def device_slot(
    device: str, on_wait: Callable[[float], None] = lambda seconds: None
) -> Iterator[int]:
    """Waits for a place on a device and holds it within the block.

    Args:
        device: its name, the same for all processes: `cpu`, or a GPU's UUID.
        on_wait: told now and then how many seconds have been waited.

    Returns:
        The place's number, from 0.

    Raises:
        InputError: the environment's number of places is none.
        StoreError: the folder of places cannot be used.
    """
    places = runs_per_device()
    folder = slots_folder()
    began = time.monotonic()
    while True:
        for number in range(places):
            lock = FileLock(folder / f"{device}-{number}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield number
            finally:
                lock.release()
            return
        on_wait(time.monotonic() - began)
        time.sleep(LOOK_SECONDS)


def runs_per_device() -> int:
    """How many tuning runs may use a device at a time: `MIRROR_RUNS_PER_DEVICE`, else one.

    Raises:
        InputError: that is no number of at least one.
    """
    wanted = os.environ.get(RUNS_PER_DEVICE, "1")
    if not (wanted.isascii() and wanted.isdecimal() and int(wanted) > 0):
        raise InputError(f"{RUNS_PER_DEVICE} is {wanted!r}: set it to a number of 1 or more")
    return int(wanted)


def slots_folder() -> Path:
    """Where this user's places are: `MIRROR_DEVICE_LOCK_DIR`, else a folder for temporary files.

    Raises:
        StoreError: it cannot be made, or belongs to someone else.
    """
    place = os.environ.get(SLOTS)
    folder = Path(place) if place else Path(tempfile.gettempdir()) / f"mirror-slots-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=bool(place), exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StoreError(
            f"the places on devices in {folder} cannot be used ({error.strerror}): set {SLOTS} to "
            "a folder of yours"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StoreError(
            f"{folder} is a link or belongs to someone else: set {SLOTS} to a folder of yours"
        )
    return folder
