"""Garbage collection of a workspace: unreferenced folders that were not used for some days.

The store records when a stage was last used, so a run in progress keeps its folders: those younger
than `keep_days` and those whose lock is taken stay.  Lock files stay, because two processes could
hold a lock whose file is removed.  Pretrained bases and their checkpoints stay, because they take
hours to make and are used without a run.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from mirror.errors import StoreError
from mirror.hashing import MANIFEST
from mirror.locks import BusyError, exclusive_lock
from mirror.release.lineage import LINEAGE
from mirror.release.run_record import RUNS, RunRecord, read_record, record_paths

DAY_SECONDS = 86_400.0
MIN_DAYS = 1
"""Longer than the time between the uses of two stages in one run."""
NEVER = ("pieces", "pretrained")
"""Stages of pretraining."""
REGISTERED = "registered"
REMOVED = ".gone-"


@dataclass(frozen=True)
class References:
    """Stages, packages and registered versions that are still needed."""

    stages: frozenset[tuple[str, str]] = frozenset()
    """Stage name and key."""
    encoders: frozenset[str] = frozenset()
    """Digests of encoders whose packages stay."""
    versions: frozenset[tuple[str, str]] = frozenset()
    """Model and version whose downloaded copies stay."""

    def __or__(self, other: References) -> References:
        """Return the union."""
        return References(
            self.stages | other.stages,
            self.encoders | other.encoders,
            self.versions | other.versions,
        )


@dataclass(frozen=True)
class Removable:
    """An unreferenced folder."""

    kind: str
    """`stage`, `work`, or `copy` (of a registered encoder)."""
    path: Path
    bytes: int
    lock: str
    """The file in `locks` that a user of the folder holds."""


def referred_by_runs(root: Path, keep_days: float) -> References:
    """Return the stages of recent runs, of each recipe's newest run and of its newest encoder.

    Raises:
        StoreError: a record cannot be read, so its references are unknown.
    """
    oldest = time.time() - keep_days * DAY_SECONDS
    used: set[tuple[str, str]] = set()
    for recipe in sorted((root / RUNS).glob("*")):
        records = [read_record(path) for path in record_paths(root, recipe.name)]
        newest = [records[-1:], [record for record in records if not record.unchanged][-1:]]
        recent = [record for record in records if _started(record) >= oldest]
        for record in (*recent, *newest[0], *newest[1]):
            folders = (Path(line.folder) for line in record.stages)
            used.update((folder.parent.name, folder.name) for folder in folders)
    return References(frozenset(used))


def find_removable(root: Path, needed: References, keep_days: float) -> list[Removable]:
    """Return the unreferenced folders that were not used for so many days, locked or not.

    Raises:
        StoreError: `keep_days` is less than a run may take.
    """
    if keep_days < MIN_DAYS:
        raise StoreError(
            f"a run may still use folders of the last {keep_days} days: keep at least {MIN_DAYS}"
        )
    oldest = time.time() - keep_days * DAY_SECONDS
    candidates = (*_stages(root, needed), *_works(root), *_copies(root, needed))
    return [
        Removable(kind, path, _size(path), lock)
        for kind, path, lock in candidates
        if last_used(path) < oldest
    ]


def remove(root: Path, folders: Iterable[Removable], keep_days: float) -> list[Removable]:
    """Remove folders unless they are in use or were used since; return the removed ones.

    Raises:
        StoreError: a folder cannot be removed.
    """
    oldest = time.time() - keep_days * DAY_SECONDS
    removed = []
    for removable in folders:
        try:
            with exclusive_lock(root / "locks" / removable.lock, wait=False):
                if not removable.path.is_dir() or last_used(removable.path) >= oldest:
                    continue
                # Renamed first, so that no process sees a half-removed folder under its name.
                renamed = root / "work" / f"{REMOVED}{uuid4().hex}"
                removable.path.rename(renamed)
            shutil.rmtree(renamed)
        except BusyError:
            continue
        except OSError as error:
            raise StoreError(
                f"{removable.path} cannot be removed ({error.strerror or error}): correct its "
                "permissions, and run again"
            ) from error
        removed.append(removable)
    return removed


def last_used(folder: Path) -> float:
    """Return when a folder was last created, written or used, in seconds since 1970."""
    if (manifest := folder / MANIFEST).is_file():
        return manifest.stat().st_mtime
    paths = (folder, *folder.rglob("*"))
    return max((path.lstat().st_mtime for path in paths if path.exists()), default=time.time())


def _started(record: RunRecord) -> float:
    return datetime.fromisoformat(record.started_at).timestamp()


def _stages(root: Path, needed: References) -> Iterator[tuple[str, Path, str]]:
    for path in sorted((root / "stages").glob("*/*")):
        name, key = path.parent.name, path.name
        referred = (name, key) in needed.stages or _encoder_of(path) in needed.encoders
        if path.is_dir() and name not in NEVER and not referred:
            yield "stage", path, f"{key}.lock"


def _encoder_of(package: Path) -> str | None:
    """Return the digest of a package's encoder; None for another stage."""
    try:
        content = json.loads((package / LINEAGE).read_text(encoding="utf-8"))
        return str(content["encoder_digest"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _works(root: Path) -> Iterator[tuple[str, Path, str]]:
    for path in sorted((root / "work").glob("*")):
        if path.is_dir():
            yield "work", path, f"{path.name.removesuffix('.out').partition('-')[0]}.lock"


def _copies(root: Path, needed: References) -> Iterator[tuple[str, Path, str]]:
    for path in sorted((root / REGISTERED).glob("*/*")):
        name, version = path.parent.name, path.name.partition("-")[0]
        if path.is_dir() and (name, version) not in needed.versions:
            yield "copy", path, f"fetch-{name}-{path.name}.lock"


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
