"""The workspace: stages that are made once, whole or not at all.

A stage's key is the digest of its inputs, its section of the recipe and the code that makes it.
Its output is a folder, written beside its place under a temporary name and renamed into it with a
`manifest.json` that lists every file's digest.  What is there and whole is reused; what is missing
or damaged is made again.  A lock per key, which the dead do not hold, keeps two runs from making
the same stage twice.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from mirror.errors import StoreError
from mirror.hashing import code_hash
from mirror.locks import exclusive_lock

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CHUNK = 1 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Stage:
    """What a stage is made from: everything its key depends on."""

    name: str
    """For example `corpus`; also the folder's name in the workspace."""
    module: str
    """The module of `mirror` whose code makes it, for example `corpus`."""
    inputs: Mapping[str, str]
    """Digests of what goes in, by name."""
    section: Mapping[str, Any]
    """The settings, JSON-ready."""
    libraries: tuple[str, ...] = ()
    """Distributions whose version can change the bytes that come out."""

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
    """What a stage left behind; the only thing that travels between tasks."""

    stage: str
    key: str
    folder: str
    """Absolute path of the stage's folder."""
    digest: str
    """Digest of the folder's files: equal digests, equal bytes."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """What the stage counted or measured, JSON-ready."""
    seconds: float = 0.0
    """How long it took to make."""
    reused: bool = False
    """Whether this run found it made."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file, by relative path, from the manifest."""

    @property
    def path(self) -> Path:
        """The stage's folder."""
        return Path(self.folder)


class Store:
    """A workspace on disk.

    `stages/<stage>/<key>/` holds what is made, `work/<key>/` what a killed run may go on from,
    `locks/` the locks.
    """

    def __init__(self, root: Path) -> None:
        """Opens or makes the workspace.

        Raises:
            StoreError: the folder cannot be made or written.
        """
        self.root = root.absolute()
        try:
            for name in ("stages", "work", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "work" / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"the workspace {self.root} cannot be written ({error.strerror}): "
                "free or allow the folder, or set MIRROR_HOME to another"
            ) from error

    def place(self, stage: Stage) -> Path:
        """Where the stage's folder is or will be."""
        return self.root / "stages" / stage.name / stage.key

    def find(self, stage: Stage) -> StageRecord | None:
        """The stage if it is there and whole; its files are read and compared with the manifest."""
        folder = self.place(stage)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if file_digests(folder) != manifest["files"]:
                log.warning("%s is damaged and will be made again", folder)
                return None
            return _record(stage, folder, manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def make(self, stage: Stage, write: Callable[[Path, Path], Mapping[str, Any]]) -> StageRecord:
        """Reuses the stage, or makes it.

        `write(out, work)` fills the empty folder `out` and returns counts; `work` is a folder of
        its own that outlives a killed run, for checkpoints, and is removed when the stage is whole.

        Raises:
            StoreError: no space is left, or a file cannot be read or written.
        """
        key = stage.key
        with exclusive_lock(self.root / "locks" / f"{key}.lock") as check:
            if found := self.find(stage):
                _note_use(found.path / MANIFEST)
                return replace(found, reused=True)
            for left in (self.root / "work").glob(f"{key}*.out"):
                shutil.rmtree(left, ignore_errors=True)
            # Its own name: who was taken for dead and wakes up writes nowhere.
            out = self.root / "work" / f"{key}-{uuid4().hex[:8]}.out"
            work = self.root / "work" / key
            try:
                out.mkdir()
                work.mkdir(exist_ok=True)
                began = time.monotonic()
                counts = dict(write(out, work))
                check()
                self._publish(stage, out, counts, time.monotonic() - began)
            except OSError as error:
                shutil.rmtree(out, ignore_errors=True)
                raise StoreError(
                    f"stage {stage.name} could not be made under {self.root}: {error}; "
                    f"nothing half-written is left; {_remedy(error)}"
                ) from error
            except BaseException:
                shutil.rmtree(out, ignore_errors=True)
                raise
            shutil.rmtree(work, ignore_errors=True)
        made = self.find(stage)
        if made is None:
            raise StoreError(f"{self.place(stage)} changed as soon as it was written")
        return made

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
        _flush_tree(out)
        place = self.place(stage)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        out.rename(place)
        flush(place.parent)


def _note_use(manifest: Path) -> None:
    """Note that a stage was used now, for garbage collection; the time never goes back."""
    with suppress(OSError):
        now = max(time.time_ns(), manifest.stat().st_mtime_ns)
        os.utime(manifest, ns=(now, now))


def _remedy(error: OSError) -> str:
    """What to do about it; libraries that wrap the system's errors keep only their words."""
    if error.errno in NO_SPACE or any(os.strerror(code) in str(error) for code in NO_SPACE):
        return "free some space, or raise the limit on it, and run again"
    return "see to what the system says of that file or device, and run again"


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


def section_content(section: BaseModel) -> dict[str, Any]:
    """A section of a recipe as JSON-ready values."""
    return section.model_dump(mode="json")


def digest_of_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder` but its manifest, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in files
        if path != folder / MANIFEST
    }


def folder_digest(folder: Path) -> str:
    """One digest for all files under `folder`."""
    return digest_of_json(file_digests(folder))


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed versions of distributions."""
    return {name: importlib.metadata.version(name) for name in names}


def git_commit() -> str:
    """The checkout's commit, with `+changes` if it differs; `unknown` outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return run.stdout.strip()


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
