"""How far along a stage is, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One sign of life from a stage."""

    stage: str
    done: int
    total: int | None
    """Nothing where it cannot be known."""
    unit: str
    """What is counted, in the plural: `documents`, `steps`."""
    text: str = ""
    """Further facts, for people."""


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Tells no one."""


def describe(progress: Progress) -> str:
    """One line for people."""
    of_total = f" of {progress.total:,}" if progress.total else ""
    more = f": {progress.text}" if progress.text else ""
    return f"{progress.stage}: {progress.done:,}{of_total} {progress.unit}{more}"
