"""One command at a time starts and stops the servers of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mirror.errors import StoreError


@contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Holds the folder within the block; makes it if it is missing.

    Raises:
        StoreError: the folder cannot be written, or another command holds it for too long.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise StoreError(
            f"another `mirror up` or `mirror down` is at work on {folder}: wait for it, or stop it"
        ) from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): allow it, or set MIRROR_HOME"
        ) from error
    try:
        yield
    finally:
        lock.release()
