"""What one step of tuning did, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TuningStep:
    """One step, just done."""

    step: int
    """Counted from 1."""
    total: int
    loss: float
    learning_rate: float
    """The learning rate it was done at."""
    strings_per_second: float
    """Over this process's steps so far; each string gives two views."""
    seconds_left: float


OnStep = Callable[[TuningStep], None]


def ignore(step: TuningStep) -> None:
    """Tells no one."""
