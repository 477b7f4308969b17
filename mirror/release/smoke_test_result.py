"""How an encoder did in a process that knows nothing of this project."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from mirror.errors import StoreError
from mirror.store import StageRecord

PROBE = "probe.json"


@dataclass(frozen=True)
class Probe:
    """How an encoder does in a process that knows nothing of this project."""

    fault: str = ""
    """Why it does not answer; empty if it does, and the rest holds then."""
    difference: float = math.inf
    """Largest difference of the strings' cosines from those that were measured."""
    milliseconds: float = math.inf
    """Median time of one text on one thread of this machine's processor."""
    megabytes: float = math.inf
    """Of the encoder's folder."""


def read_probe(record: StageRecord) -> Probe:
    """What the stage found.

    Raises:
        StoreError: it is gone or damaged.
    """
    path = record.path / PROBE
    try:
        return Probe(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({error}): remove its folder and run again") from (
            error
        )
