"""One at a time, in a folder that several machines may share; and the dead hold nothing.

The kernel's lock on a file (`flock`) is freed when its holder dies, but not every shared folder
carries it from one machine to another.  So its holder leaves a note beside it too, which can be
made once only, and changes it every few seconds.  A note of this machine's that stands while the
kernel's lock is free is a dead one's; another machine's is one when it stands unchanged for a
minute.
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
DEAD_SECONDS = 60.0
"""Seen by a clock that is never set, of whoever waits: machines' clocks differ."""
TELL_SECONDS = 2.0
"""Who waits for longer says so."""
PAUSE_SECONDS = 0.1
NO_KERNEL_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
SHARED_KERNEL = Path("/proc/sys/kernel/random/boot_id")
NOTE = ".held"


class BusyError(StoreError):
    """Somebody holds the lock, and the caller would not wait."""


@contextmanager
def exclusive_lock(path: Path, *, wait: bool = True) -> Iterator[Callable[[], None]]:
    """Within the block, nobody else who asks here holds the lock `path`.

    Args:
        path: a file, which is made and stays; the note lies beside it.
        wait: for whoever holds it now.

    Yields:
        To be called before what must not be done twice: raises StoreError if the caller slept so
        long that another machine took it for dead.

    Raises:
        BusyError: it is held, and `wait` is false.
        StoreError: the lock cannot be made.
    """
    note = path.with_name(path.name + NOTE)
    token = uuid4().hex
    waiting = _Waiting(path, note, wait)
    with _opened(path) as handle:
        freed_by_kernel = _take_kernels(handle, waiting)
        _take_note(note, token, waiting, freed_by_kernel)
        stop = threading.Event()
        beating = threading.Thread(target=_beat, args=[note, token, stop], daemon=True)
        beating.start()

        def check() -> None:
            if _read(note).get("token") != token:
                raise StoreError(
                    f"another machine took over {path} from this one, which was silent for a "
                    "minute: run again"
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
    """Somebody else holds it: says so once, or does not wait at all."""

    def __init__(self, path: Path, note: Path, wait: bool) -> None:
        self._path, self._note, self.wait = path, note, wait
        self._began = time.monotonic()
        self._told = False

    def go_on(self) -> None:
        if not self._told and time.monotonic() - self._began > TELL_SECONDS:
            self._told = True
            log.warning("waiting for %s, which holds %s", _holder(self._note), self._path)
        time.sleep(PAUSE_SECONDS)

    def refuse(self) -> None:
        raise BusyError(f"{self._path} is held by {_holder(self._note)}: wait for it, or stop it")


def _take_kernels(handle: int, waiting: _Waiting) -> bool:
    """Whether there is a kernel's lock at all; then it is held."""
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if not waiting.wait:
                waiting.refuse()
            waiting.go_on()
        except OSError as error:
            if error.errno not in NO_KERNEL_LOCKS:
                raise
            return False


def _take_note(note: Path, token: str, waiting: _Waiting, freed_by_kernel: bool) -> None:
    seen, since = b"", time.monotonic()
    while not _write(note, token):
        held = _bytes(note)
        if freed_by_kernel and _parsed(held).get("kernel") == _kernel():
            note.unlink(missing_ok=True)
            continue
        if held != seen:
            if seen and not waiting.wait:
                waiting.refuse()
            seen, since = held, time.monotonic()
        elif held and time.monotonic() - since > DEAD_SECONDS:
            log.warning("%s left its note on %s when it ended; taken over", _holder(note), note)
            _put_aside(note, seen)
            continue
        waiting.go_on()


def _write(note: Path, token: str) -> bool:
    """Whether the note could be made; not if there is one."""
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
    """Of the same length at every beat, so that it is changed in place, on a full disk too."""
    return json.dumps({**content, "beat": f"{beat:012}"}).encode()


def _beat(note: Path, token: str, stop: threading.Event) -> None:
    beat = 0
    while not stop.wait(BEAT_SECONDS):
        beat += 1
        content = _read(note)
        if content.get("token") != token:
            return
        # What cannot be written now may be at the next beat; `check` tells who was too late.
        with suppress(OSError):
            handle = os.open(note, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(handle, _line(content, beat), 0)
            finally:
                os.close(handle)


def _put_aside(note: Path, seen: bytes) -> None:
    """Removes a note, if it is still the one that was seen."""
    aside = note.with_name(f"{note.name}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        note.rename(aside)
        if _bytes(aside) != seen:  # somebody was quicker, and this is his
            with suppress(OSError):
                os.link(aside, note)
        aside.unlink()


def _bytes(note: Path) -> bytes:
    try:
        return note.read_bytes()
    except OSError:
        return b""


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(note: Path) -> dict[str, Any]:
    return _parsed(_bytes(note))


def _holder(note: Path) -> str:
    held = _read(note)
    return f"process {held['pid']} on {held['host']}" if {"pid", "host"} <= held.keys() else "a run"


def _kernel() -> str:
    """The same for all containers of one machine, and another after it was started again."""
    try:
        return SHARED_KERNEL.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({error.strerror}): free or allow the folder, or set "
        "MIRROR_HOME to another"
    )
