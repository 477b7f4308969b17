"""Device lock: how many tuning runs may use a device at a time.

Each lock is a file lock, which the kernel releases when the process ends or is killed.  It works
across the processes and workspaces of one user on one machine, with or without a server.
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
LOCK_DIR = "MIRROR_DEVICE_LOCK_DIR"
POLL_SECONDS = 0.5


@contextmanager
def device_lock(
    device: str, on_wait: Callable[[float], None] = lambda seconds: None
) -> Iterator[int]:
    """Context manager: wait until the device is free for one more run, and hold it.

    Args:
        device: its name, see `device_name`.
        on_wait: called with the seconds waited so far, about every `POLL_SECONDS`.

    Yields:
        The number of this run among those that may use the device, from 0.

    Raises:
        InputError: `MIRROR_RUNS_PER_DEVICE` is not a number of at least 1.
        StoreError: the folder of locks cannot be used, or belongs to another user.
    """
    runs = runs_per_device()
    folder = lock_folder()
    started = time.monotonic()
    while True:
        for number in range(runs):
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
        on_wait(time.monotonic() - started)
        time.sleep(POLL_SECONDS)


def runs_per_device() -> int:
    """Return how many tuning runs may use a device at a time: `MIRROR_RUNS_PER_DEVICE`, else 1.

    Raises:
        InputError: the variable is not a number of at least 1.
    """
    value = os.environ.get(RUNS_PER_DEVICE, "1")
    if not (value.isascii() and value.isdecimal() and int(value) > 0):
        raise InputError(f"{RUNS_PER_DEVICE} is {value!r}: set it to a number of 1 or more")
    return int(value)


def lock_folder() -> Path:
    """Return the folder of this user's locks: `MIRROR_DEVICE_LOCK_DIR`, else a temporary one."""
    chosen = os.environ.get(LOCK_DIR)
    folder = (
        Path(chosen)
        if chosen
        else Path(tempfile.gettempdir()) / f"mirror-device-locks-{os.getuid()}"
    )
    try:
        folder.mkdir(mode=0o700, parents=bool(chosen), exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StoreError(
            f"the device locks in {folder} cannot be used ({error.strerror}): set {LOCK_DIR} to "
            "a folder of yours"
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StoreError(
            f"{folder} is a link or belongs to another user: set {LOCK_DIR} to a folder of yours"
        )
    return folder


def device_name() -> str:
    """Return the name of the device that tuning uses, the same in all processes of a machine.

    `cpu`, or the GPU's UUID, which does not depend on CUDA_VISIBLE_DEVICES.
    """
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
    return f"gpu-{uuid}"
