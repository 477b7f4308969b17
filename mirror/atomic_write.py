"""Atomic files and folders: written under a temporary name and renamed when complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mirror.errors import InputError, StoreError
from mirror.store import flush


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path` that is renamed to it if the block succeeds."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        flush(part)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_together(texts: Mapping[Path, str]) -> None:
    """Write several files; if one cannot be written, all are as they were.

    Raises:
        StoreError: one cannot be written.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    try:
        for path, text in texts.items():
            with atomic_file(path) as part:
                part.write_text(text, encoding="utf-8")
    except BaseException as error:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                path.write_bytes(content)
        if isinstance(error, OSError):
            raise StoreError(
                f"{' and '.join(map(str, texts))} cannot be written "
                f"({error.strerror or error}), and none was changed: correct the permissions"
            ) from error
        raise


def check_new_folder(path: Path) -> None:
    """Raise an error if a folder cannot be created at `path`, before any long work.

    Raises:
        InputError: something is there already, or the parent folder is missing or not writable.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} exists already: name another folder, or remove it")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist: create it first")
    try:
        # Permissions alone do not tell: some file systems are read-only.
        Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent)).rmdir()
    except OSError as error:
        raise InputError(
            f"no folder can be made in {path.absolute().parent} ({error.strerror or error}): "
            "name another with --out, or make it writable"
        ) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that is renamed to `path` if the block succeeds.

    Raises:
        InputError: as `check_new_folder`.
        StoreError: the folder cannot be written; no part of it is left.
    """
    check_new_folder(path)
    try:
        temporary = tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        try:
            yield Path(temporary)
            # mkdtemp and safetensors restrict their files to the owner.
            Path(temporary).chmod(0o755)
            for item in Path(temporary).rglob("*"):
                item.chmod(0o755 if item.is_dir() else 0o644)
                flush(item)
            Path(temporary).rename(path)
            flush(path.absolute().parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}) and nothing was left there: "
            "free some space, or name another folder"
        ) from error
