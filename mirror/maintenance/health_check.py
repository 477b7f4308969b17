"""One thing that a look at this machine found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class CheckResult:
    """What was looked at, how it stands, and what to do about it."""

    name: str
    state: State
    """bad: the main job will not run; warn: something else will not, or it will be slow."""
    text: str
    remedy: str = ""
    """Nothing where there is nothing to do."""
