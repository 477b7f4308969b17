"""How file and server differ, and the steps that end it: a pure comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirror.errors import InputError
from tasks.deployments import Deployment

LONGEST_VALUE = 60


@dataclass(frozen=True)
class Drift:
    """What the server has not, has otherwise, or has too much."""

    new: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """A deployment, and each setting or schedule that differs, in words."""
    gone_schedules: tuple[tuple[str, str], ...] = ()
    """A deployment, and the slug of a schedule that the file no longer has."""
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone_schedules or self.gone)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line a difference, marked as a patch is: + made, ~ changed, - removed."""
        return (
            *(f"+ {name}" for name in self.new),
            *(f"~ {name}: {text}" for name, texts in self.changed for text in texts),
            *(f"- {name}: schedule {slug}" for name, slug in self.gone_schedules),
            *(f"- {name}" for name in self.gone),
        )


def compare(tag: str, wanted: Mapping[str, Deployment], there: Mapping[str, Deployment]) -> Drift:
    """Compares the file's deployments with the server's.

    Args:
        tag: of the file's deployments; on the server what lacks it is somebody else's.
        wanted: the file's, by name.
        there: all of the server's, by name.

    Raises:
        InputError: somebody else's deployment has the name of one of the file's.
    """
    if foreign := [name for name in wanted if name in there and tag not in there[name].tags]:
        raise InputError(
            f"{', '.join(foreign)} is on the server without the tag {tag}, so somebody else made "
            f"it: rename ours, or, if it is ours, remove it: prefect deployment delete {foreign[0]}"
        )
    both = [name for name in wanted if name in there]
    changes = ((name, _changes(wanted[name], there[name])) for name in both)
    return Drift(
        new=tuple(name for name in wanted if name not in there),
        changed=tuple((name, texts) for name, texts in changes if texts),
        gone_schedules=tuple(
            (name, slug)
            for name in both
            for slug in there[name].schedules
            if slug not in wanted[name].schedules
        ),
        gone=tuple(name for name in there if tag in there[name].tags and name not in wanted),
    )


def _changes(wanted: Deployment, there: Deployment) -> tuple[str, ...]:
    keys = [*wanted.settings, *(key for key in there.settings if key not in wanted.settings)]
    texts = [
        f"{key} {_told(there.settings.get(key))} → {_told(wanted.settings.get(key))}"
        for key in keys
        if there.settings.get(key) != wanted.settings.get(key)
    ]
    for slug, timing in wanted.schedules.items():
        current = there.schedules.get(slug)
        if current is None:
            texts.append(f"new schedule {slug} {_told(timing)}")
            continue
        # Where the file is silent the server has chosen, such as from when an interval counts.
        texts += [
            f"schedule {slug}: {key} {_told(current.get(key))} → {_told(value)}"
            for key, value in timing.items()
            if current.get(key) != value
        ]
    return tuple(texts)


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
