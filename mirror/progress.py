"""How far along a stage is, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """One sign of life from a stage."""

    stage: str
    done: int
    total: int | None
    """Nothing where it cannot be known."""
    unit: str
    """What is counted, in the plural: `documents`, `steps`."""
    text: str = ""
    """Further facts, for people."""


OnProgress = Callable[[ProgressEvent], None]


def no_progress(progress: ProgressEvent) -> None:
    """Tells no one."""


def describe(progress: ProgressEvent) -> str:
    """One line for people."""
    of_total = f" of {progress.total:,}" if progress.total else ""
    more = f": {progress.text}" if progress.text else ""
    return f"{progress.stage}: {progress.done:,}{of_total} {progress.unit}{more}"
