"""Exclusive locks in a folder that several machines may share.

The kernel's lock on a file (`flock`) is freed when its process ends, but not every shared file
system passes it from one machine to another.  So the holder also creates a note next to the lock
file and rewrites it every few seconds.  A note is stale in two cases: it is from this machine and
the kernel's lock is free, or it is from another machine and has not changed for a minute.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from mirror.errors import StoreError

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""Measured by the monotonic clock of the waiting process: machines' clocks differ."""
WARN_SECONDS = 2.0
"""A longer wait is logged."""
PAUSE_SECONDS = 0.1
NO_KERNEL_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
SHARED_KERNEL = Path("/proc/sys/kernel/random/boot_id")
NOTE = ".held"


class BusyError(StoreError):
    """Another process holds the lock, and the caller asked not to wait."""


@contextmanager
def exclusive_lock(path: Path, *, wait: bool = True) -> Iterator[Callable[[], None]]:
    """Hold the lock `path` within the block; no other process or thread can hold it then.

    Args:
        path: the lock file, which is created and stays; the note is next to it.
        wait: whether to wait while another process holds the lock.

    Yields:
        A function that raises StoreError if another machine has taken the lock over, after a minute
        without a new note.  Call it before work that must not be done twice.

    Raises:
        BusyError: the lock is held, and `wait` is false.
        StoreError: the lock file or its note cannot be created.
    """
    note = path.with_name(path.name + NOTE)
    token = uuid4().hex
    waiting = _Waiting(path, note, wait)
    with _opened(path) as handle:
        freed_by_kernel = _take_kernel_lock(handle, waiting)
        _take_note(note, token, waiting, freed_by_kernel)
        stop = threading.Event()
        beating = threading.Thread(target=_beat, args=[note, token, stop], daemon=True)
        beating.start()

        def check() -> None:
            if _read(note).get("token") != token:
                raise StoreError(
                    f"another machine took over the lock {path}, because this process did not "
                    "answer for a minute: run again"
                )

        try:
            yield check
        finally:
            stop.set()
            beating.join()
            if _read(note).get("token") == token:
                with suppress(OSError):
                    note.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        yield handle
    finally:
        os.close(handle)


class _Waiting:
    """Wait for a lock that another process holds: log it once, or refuse to wait."""

    def __init__(self, path: Path, note: Path, wait: bool) -> None:
        self._path, self._note, self.wait = path, note, wait
        self._began = time.monotonic()
        self._warned = False

    def pause(self) -> None:
        if not self._warned and time.monotonic() - self._began > WARN_SECONDS:
            self._warned = True
            log.warning("waiting for %s, which holds %s", _holder(self._note), self._path)
        time.sleep(PAUSE_SECONDS)

    def refuse(self) -> None:
        raise BusyError(f"{self._path} is held by {_holder(self._note)}: wait for it, or stop it")


def _take_kernel_lock(handle: int, waiting: _Waiting) -> bool:
    """Take the kernel's lock; return False if this file system has none."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if not waiting.wait:
                waiting.refuse()
            waiting.pause()
        except OSError as error:
            if error.errno not in NO_KERNEL_LOCKS:
                raise
            return False


def _take_note(note: Path, token: str, waiting: _Waiting, freed_by_kernel: bool) -> None:
    seen, since = b"", time.monotonic()
    while not _write(note, token):
        content = _bytes(note)
        if freed_by_kernel and _parsed(content).get("kernel") == _kernel():
            note.unlink(missing_ok=True)
            continue
        if content != seen:
            if seen and not waiting.wait:
                waiting.refuse()
            seen, since = content, time.monotonic()
        elif content and time.monotonic() - since > STALE_SECONDS:
            log.warning("the lock of %s is stale and is taken over: %s", _holder(note), note)
            _remove_stale(note, seen)
            continue
        waiting.pause()


def _write(note: Path, token: str) -> bool:
    """Create the note; return False if there is one already."""
    content = {"kernel": _kernel(), "host": platform.node(), "pid": os.getpid(), "token": token}
    try:
        handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unusable(note, error) from error
    try:
        os.write(handle, _line(content, 0))
    except OSError as error:
        note.unlink(missing_ok=True)
        raise _unusable(note, error) from error
    finally:
        os.close(handle)
    return True


def _line(content: dict[str, Any], beat: int) -> bytes:
    """Return the note's bytes, of constant length: it is rewritten in place, on a full disk too."""
    return json.dumps({**content, "beat": f"{beat:012}"}).encode()


def _beat(note: Path, token: str, stop: threading.Event) -> None:
    beat = 0
    while not stop.wait(BEAT_SECONDS):
        beat += 1
        content = _read(note)
        if content.get("token") != token:
            return
        # If a write fails, the next beat may succeed; `check` detects a lost lock.
        with suppress(OSError):
            handle = os.open(note, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(handle, _line(content, beat), 0)
            finally:
                os.close(handle)


def _remove_stale(note: Path, seen: bytes) -> None:
    """Remove a note if its content is still `seen`."""
    renamed = note.with_name(f"{note.name}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        note.rename(renamed)
        if _bytes(renamed) != seen:  # another process has taken the lock meanwhile: restore it
            with suppress(OSError):
                os.link(renamed, note)
        renamed.unlink()


def _bytes(note: Path) -> bytes:
    try:
        return note.read_bytes()
    except OSError:
        return b""


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _read(note: Path) -> dict[str, Any]:
    return _parsed(_bytes(note))


def _holder(note: Path) -> str:
    content = _read(note)
    if {"pid", "host"} <= content.keys():
        return f"process {content['pid']} on {content['host']}"
    return "a run"


def _kernel() -> str:
    """Return the boot's ID: the same in all containers of a machine, another after a reboot."""
    try:
        return SHARED_KERNEL.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({error.strerror}): free some space, correct the folder's "
        "permissions, or set MIRROR_HOME to another folder"
    )
