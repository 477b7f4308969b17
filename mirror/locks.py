"""Exclusive locks in a folder that several machines may share.

The kernel's lock on a file (`flock`) is freed when its process ends, but not every shared file
system passes it from one machine to another.  So the holder also has a lease next to the lock file,
which it renews every few seconds.  A lease is stale in two cases: it is from this machine and the
kernel's lock is free, or it has not been renewed for a minute.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from errno import ENOLCK, ENOSYS, ENOTSUP
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from mirror.errors import StoreError

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""Measured by the monotonic clock of the waiting process: machines' clocks differ."""
WARN_SECONDS = 2.0
"""A longer wait is logged."""
PAUSE_SECONDS = 0.1
NO_KERNEL_LOCKS = (ENOSYS, ENOTSUP, ENOLCK)
SHARED_KERNEL = Path("/proc/sys/kernel/random/boot_id")
LEASE = ".held"


class BusyError(StoreError):
    """Another process holds the lock, and the caller asked not to wait."""


@contextmanager
def exclusive_lock(path: Path, *, wait: bool = True) -> Iterator[Callable[[], None]]:
    """Hold the lock `path` within the block; no other process or thread can hold it then.

    Args:
        path: the lock file, which is created and stays; the lease is next to it.
        wait: whether to wait while another process holds the lock.

    Yields:
        A function that raises StoreError if another machine has taken the lock over, after a minute
        without renewal.  Call it before work that must not be done twice.

    Raises:
        BusyError: the lock is held, and `wait` is false.
        StoreError: the lock file or its lease cannot be created.
    """
    kernel_lock = FileLock(path, fallback_to_soft=False)
    lease = SoftFileLease(
        path.with_name(path.name + LEASE),
        lease_duration=STALE_SECONDS,
        heartbeat_interval=BEAT_SECONDS,
    )

    def check() -> None:
        if lease.owner is None or lease.owner.token != lease.token:
            raise StoreError(
                f"another machine took over the lock {path}, because this process did not "
                "answer for a minute: run again"
            )

    with ExitStack() as held:
        with _clear_errors(path):
            if _take_kernel_lock(kernel_lock, lease, path, wait):
                held.callback(kernel_lock.release)
                if _is_from_this_machine(lease, path):
                    lease.force_break()
            _acquire(lease, lease, path, wait)
            held.callback(lease.release)
            path.write_text(f"{_kernel()} {lease.token}", encoding="ascii")
        yield check


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): free some space, correct the folder's "
            "permissions, or set MIRROR_HOME to another folder"
        ) from error


def _take_kernel_lock(lock: FileLock, lease: SoftFileLease, path: Path, wait: bool) -> bool:
    """Take the kernel's lock; return False if this file system has none."""
    try:
        _acquire(lock, lease, path, wait)
    except OSError as error:
        if error.errno not in NO_KERNEL_LOCKS:
            raise
        return False
    return True


def _acquire(lock: BaseFileLock, lease: SoftFileLease, path: Path, wait: bool) -> None:
    """Acquire the kernel's lock or the lease; without `wait`, only wait out a stale lease."""
    seen = _renewed(lease)
    began, warned = time.monotonic(), False

    def refuse() -> bool:
        nonlocal warned
        if not warned and time.monotonic() - began > WARN_SECONDS:
            warned = True
            log.warning("waiting for %s, which holds %s", _holder(lease), path)
        return not wait and (lock is not lease or _renewed(lease) != seen)

    try:
        timeout = -1 if wait else 2 * STALE_SECONDS
        lock.acquire(timeout, poll_interval=PAUSE_SECONDS, cancel_check=refuse)
    except Timeout as error:
        holder = _holder(lease)
        raise BusyError(f"{path} is held by {holder}: wait for it, or stop it") from error


def _renewed(lease: SoftFileLease) -> int:
    try:
        return Path(lease.lock_file).stat().st_mtime_ns
    except OSError:
        return 0


def _is_from_this_machine(lease: SoftFileLease, path: Path) -> bool:
    """Whether the last holder of `path`, which left the lease, ran on this machine since its boot.

    The PID is not enough: PIDs repeat across containers.
    """
    owner = lease.owner
    return owner is not None and path.read_text("ascii", "replace") == f"{_kernel()} {owner.token}"


def _holder(lease: SoftFileLease) -> str:
    owner = lease.owner
    # filelock appends the namespace of PIDs to the host's name, after a question mark.
    return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "a run"


def _kernel() -> str:
    """Return the boot's ID: the same in all containers of a machine, another after a reboot."""
    try:
        return SHARED_KERNEL.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
