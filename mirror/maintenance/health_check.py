"""Result of one check of `mirror doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class CheckResult:
    """A check's name, its state, and the remedy."""

    name: str
    state: State
    """bad: `mirror run` fails; warn: another command fails, or runs are slow."""
    text: str
    remedy: str = ""
    """Empty if no action is needed."""
