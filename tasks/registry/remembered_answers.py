"""Answers of the registry to an unchanged run, kept while its SQLite file is unchanged.

Importing MLflow and opening its store takes seconds, and the answers to the same questions about
the same file are the same.  A tracking server is always asked.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from mirror.atomic_write import atomic_file
from mirror.encoders.encoder_ref import folder_encoder_digest
from tasks.registry.candidate import Champion, Registration
from tasks.registry.client import VARIABLE, sqlite_file

FOLDER = "registry"
SIDE_FILES = ("-journal", "-wal")
"""An SQLite file next to which one of these lies has changes that it does not show."""
COUNTER = slice(24, 28)
"""Bytes of an SQLite file that every transaction changes."""


@dataclass(frozen=True)
class RegistryAnswers:
    """What the registry would answer to a run that makes the same encoder again."""

    encoder: str
    """Digest of the tuned encoder."""
    champion: Champion | None
    """The version to compare it with."""
    key: str
    """The candidate's registration key."""
    registration: Registration


def registry_state() -> list[int] | None:
    """Return a state of the registry's SQLite file, equal only if nothing was written.

    None for another kind of store, or while the file is being written.
    """
    file = sqlite_file(os.environ[VARIABLE])
    if file is None or any(Path(f"{file}{suffix}").exists() for suffix in SIDE_FILES):
        return None
    try:
        with file.open("rb") as opened:
            counter = int.from_bytes(opened.read(COUNTER.stop)[COUNTER], "big")
            state = os.fstat(opened.fileno())
    except OSError:
        return None
    return [state.st_ino, state.st_size, state.st_mtime_ns, counter]


def remember(answers: RegistryAnswers, workspace: Path, before: list[int] | None) -> None:
    """Keep answers for the next run.

    Args:
        answers: what the registry answered.
        workspace: the folder where they are kept.
        before: the registry's state before it was asked; if it has changed, nothing is kept.
    """
    if before is None or registry_state() != before:
        return
    content = {"uri": os.environ[VARIABLE], "state": before, "answers": asdict(answers)}
    path = _path(workspace, answers.registration.model)
    with suppress(OSError):  # the next run then asks the registry
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(json.dumps(content), encoding="utf-8")


def recall(model: str, workspace: Path) -> RegistryAnswers | None:
    """Return the answers about a model if they still hold, else None."""
    try:
        content = json.loads(_path(workspace, model).read_text(encoding="utf-8"))
        if [content["uri"], content["state"]] != [os.environ[VARIABLE], registry_state()]:
            return None
        answers = TypeAdapter(RegistryAnswers).validate_python(content["answers"])
        if answers.champion:
            folder = Path(answers.champion.folder)
            if folder_encoder_digest(folder) != answers.champion.digest:
                return None
            os.utime(folder)  # the time of last use, read by mirror.maintenance.garbage_collection
        return answers
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(workspace: Path, model: str) -> Path:
    return workspace / FOLDER / f"{model}.json"
