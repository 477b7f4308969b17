"""Content-addressed store of stages in a workspace.

The key of a stage is the digest of its inputs, its settings and the code that makes it.  Its
output is written under a temporary name and renamed into place together with a `manifest.json`
that lists the digest of every file.  Undamaged stages are reused; missing or damaged ones are made
again.  A lock for each key keeps two runs from making the same stage at once.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from mirror.errors import StoreError
from mirror.hashing import (
    CHECKED,
    MANIFEST,
    code_hash,
    digest_of_json,
    file_digests,
    read_digest,
    stage_files,
)
from mirror.locks import exclusive_lock
from mirror.provenance import git_commit, library_versions
from mirror.reuse_only import about_to_make

log = logging.getLogger(__name__)

TRUSTED_SECONDS = 24 * 60 * 60
"""For this long, a stage's files of unchanged size and time are not read again."""
INPUT_FILES = "input_files"
"""Key in a manifest's counts: name, path and bytes of the files that a stage read."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Stage:
    """The inputs of a stage's key."""

    name: str
    """For example `corpus`; also the folder's name in the workspace."""
    module: str
    """The module of `mirror` with its code, without the prefix: for example `release.package`."""
    inputs: Mapping[str, str]
    """Digests of the inputs, by name."""
    section: Mapping[str, Any]
    """The settings, JSON-ready."""
    libraries: tuple[str, ...] = ()
    """Distributions whose versions can change the output."""

    @property
    def key(self) -> str:
        """20 hexadecimal digits."""
        identity = {
            "stage": self.name,
            "inputs": dict(self.inputs),
            "section": dict(self.section),
            "code": code_hash(self.module),
            "libraries": library_versions(self.libraries),
        }
        return digest_of_json(identity)[:20]


@dataclass(frozen=True)
class StageRecord:
    """A finished stage, as tasks pass it to each other."""

    stage: str
    key: str
    folder: str
    """Absolute path of the stage's folder."""
    digest: str
    """Digest of the folder's files: equal digests, equal bytes."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """Counts and measurements, JSON-ready."""
    seconds: float = 0.0
    """The time that making the stage took."""
    reused: bool = False
    """Whether an earlier run made it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file, by relative path, from the manifest."""

    @property
    def path(self) -> Path:
        """The stage's folder."""
        return Path(self.folder)


class Store:
    """A workspace on disk.

    `stages/<stage>/<key>/` holds finished stages, `work/<key>/` checkpoints from which a killed
    run continues, `locks/` the locks.
    """

    def __init__(self, root: Path) -> None:
        """Open the workspace; create it if it is missing.

        Raises:
            StoreError: the folder cannot be created or written.
        """
        self.root = root.absolute()
        try:
            for name in ("stages", "work", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root / "work"):
                pass
        except OSError as error:
            raise StoreError(
                f"the workspace {self.root} cannot be written ({error.strerror}): free some "
                "space, correct the folder's permissions, or set MIRROR_HOME to another folder"
            ) from error

    def folder(self, stage: Stage) -> Path:
        """Return the path of the stage's folder, which need not exist."""
        return self.root / "stages" / stage.name / stage.key

    def find(self, stage: Stage) -> StageRecord | None:
        """Return the stage if it was made and is undamaged, else None.

        Files of unchanged size and time are trusted for a day; then all are read again.
        """
        folder = self.folder(stage)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if not _is_undamaged(folder, manifest["files"], self.root / "work"):
                log.warning("%s is damaged and will be made again", folder)
                return None
            return _record(stage, folder, manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def make(self, stage: Stage, write: Callable[[Path, Path], Mapping[str, Any]]) -> StageRecord:
        """Reuse the stage, or make it.

        `write(out, work)` fills the empty folder `out` and returns counts.  The folder `work` is
        for checkpoints: it survives a killed run and is removed when the stage is finished.

        Raises:
            StoreError: no space is left, or a file cannot be read or written.
        """
        key = stage.key
        with exclusive_lock(self.root / "locks" / f"{key}.lock") as check:
            if found := self.find(stage):
                _note_use(found.path / MANIFEST)
                return replace(found, reused=True)
            about_to_make(f"stage {stage.name}")
            for abandoned in (self.root / "work").glob(f"{key}*.out"):
                shutil.rmtree(abandoned, ignore_errors=True)
            # A unique name: a process that lost its lock must not write into another's folder.
            out = self.root / "work" / f"{key}-{uuid4().hex[:8]}.out"
            work = self.root / "work" / key
            try:
                out.mkdir()
                work.mkdir(exist_ok=True)
                began = time.monotonic()
                counts = dict(write(out, work))
                check()
                self._publish(stage, out, counts, time.monotonic() - began)
            except BaseException as error:
                shutil.rmtree(out, ignore_errors=True)
                if not isinstance(error, OSError):
                    raise
                raise StoreError(
                    f"stage {stage.name} could not be made in {self.root}: {error}; "
                    f"its incomplete files are removed: {_remedy(error)}"
                ) from error
            shutil.rmtree(work, ignore_errors=True)
        if (record := self.find(stage)) is None:
            raise StoreError(f"{self.folder(stage)} was changed by another process: run again")
        return record

    def _publish(self, stage: Stage, out: Path, counts: Mapping[str, Any], seconds: float) -> None:
        files = file_digests(out)
        manifest = {
            **asdict(stage),
            "key": stage.key,
            "code": code_hash(stage.module),
            "digest": digest_of_json(files),
            "files": files,
            "counts": counts,
            "seconds": round(seconds, 3),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": git_commit(),
            "python": platform.python_version(),
            "versions": library_versions(stage.libraries),
        }
        (out / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), "utf-8")
        (out / CHECKED).write_text(_check_note(_file_states(out)), encoding="utf-8")
        _flush_tree(out)
        folder = self.folder(stage)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)
        flush(folder.parent)


def _is_undamaged(folder: Path, files: Mapping[str, str], work: Path) -> bool:
    states = _file_states(folder)
    try:
        checked = json.loads((folder / CHECKED).read_text(encoding="utf-8"))
        is_recent = 0 <= time.time() - checked["at"] < TRUSTED_SECONDS
        if is_recent and checked["files"] == states and states.keys() == set(files):
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no valid check note: read the files
    if {name: read_digest(folder / name) for name in states} != files:
        return False
    # Written outside the folder: a killed process would leave a file there that no manifest lists.
    unfinished = work / f"checked-{uuid4().hex[:8]}"
    with suppress(OSError):  # the workspace may be read-only
        unfinished.write_text(_check_note(states), encoding="utf-8")
        unfinished.replace(folder / CHECKED)
    return True


def _file_states(folder: Path) -> dict[str, list[int]]:
    """Return size and time of each file of a stage, by relative path."""
    states = {path: path.stat() for path in stage_files(folder)}
    return {
        path.relative_to(folder).as_posix(): [state.st_size, state.st_mtime_ns]
        for path, state in states.items()
    }


def _check_note(states: Mapping[str, list[int]]) -> str:
    return json.dumps({"at": time.time(), "files": states})


def _note_use(manifest: Path) -> None:
    """Set the time of a stage's last use, for garbage collection; never to an earlier time."""
    with suppress(OSError):
        now = max(time.time_ns(), manifest.stat().st_mtime_ns)
        os.utime(manifest, ns=(now, now))


def _remedy(error: OSError) -> str:
    """Return the remedy; libraries that wrap the system's errors keep only their text."""
    if error.errno in NO_SPACE or any(os.strerror(code) in str(error) for code in NO_SPACE):
        return "free some space or raise the disk quota, and run again"
    return "correct the file or device that the system names, and run again"


def _record(stage: Stage, folder: Path, manifest: Mapping[str, Any]) -> StageRecord:
    return StageRecord(
        stage.name,
        manifest["key"],
        str(folder),
        manifest["digest"],
        manifest["counts"],
        manifest["seconds"],
        files=manifest["files"],
    )


@contextmanager
def safetensors_errors_as_os_errors() -> Iterator[None]:
    """Raise errors of safetensors within the block as OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def section_content(section: BaseModel) -> dict[str, Any]:
    """Return a section of a recipe as JSON-ready values."""
    return section.model_dump(mode="json")


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
