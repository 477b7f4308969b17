"""A folder that is there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror.errors import InputError, StoreError
from mirror.store import flush


def check_free(place: Path) -> None:
    """Checks that a folder can be made there, before anything long is done.

    Raises:
        InputError: something is there already, or the folder above is not, or takes nothing.
    """
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise InputError(f"{place} is there already: name a place where nothing is, or remove it")
    if not place.absolute().parent.is_dir():
        raise InputError(f"{place} lies in no folder that exists: make {place.parent} first")
    try:
        # Rights alone do not say it: some file systems take nothing from anybody.
        Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.absolute().parent)).rmdir()
    except OSError as error:
        raise InputError(
            f"no folder can be made in {place.absolute().parent} ({error.strerror or error}): "
            "name another place with --out, or make the folder one that you can write to"
        ) from error


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Yields an empty folder beside `place`, which is renamed to it if the block ends well.

    Raises:
        InputError: as `check_free`.
        StoreError: it cannot be written; nothing half-written is left.
    """
    check_free(place)
    try:
        beside = tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.absolute().parent)
        try:
            yield Path(beside)
            Path(beside).chmod(0o755)  # not for us alone, as mkdtemp and safetensors have it
            for path in Path(beside).rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
                flush(path)
            Path(beside).rename(place)
            flush(place.absolute().parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({error.strerror or error}); nothing half-written is left: "
            "free some space, or name another place"
        ) from error
