"""Progress events of stages, and the callback that receives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """The progress of a stage at one moment."""

    stage: str
    done: int
    total: int | None
    """None if it is unknown."""
    unit: str
    """The unit of `done` and `total`, in the plural: `documents`, `steps`."""
    text: str = ""
    """Additional text for people."""


OnProgress = Callable[[ProgressEvent], None]


def no_progress(progress: ProgressEvent) -> None:
    """Ignore the event."""


def describe(progress: ProgressEvent) -> str:
    """Return the event as one line of text."""
    of_total = f" of {progress.total:,}" if progress.total else ""
    more = f": {progress.text}" if progress.text else ""
    return f"{progress.stage}: {progress.done:,}{of_total} {progress.unit}{more}"
