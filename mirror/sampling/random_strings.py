"""Strings of letters and digits that mean nothing, in place of words (paper, Table 10)."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.store import Stage, StageRecord, Store

CHARACTERS = string.ascii_lowercase + string.digits
SHORTEST, LONGEST = 3, 10
"""Characters; the paper does not say how long its own are."""


def random_corpus(count: int, seed: int, store: Store) -> dict[str, Any]:
    """A recipe's `[corpus]` of `count` different random strings, taken as they are.

    Raises:
        StoreError: their folder cannot be written.
    """
    return {
        "source": "files",
        "paths": [str(random_strings(count, seed, store).path / "strings.txt")],
        "format": "text",
        "split_into": "lines",
        "keep_raw": True,
        "check_language": False,
    }


def random_strings(count: int, seed: int, store: Store) -> StageRecord:
    """Draws `count` different strings, each with a letter; `strings.txt` has one a line.

    Raises:
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        (out / "strings.txt").write_text("".join(f"{each}\n" for each in _draw(count, seed)))
        return {"strings": count}

    stage = Stage("random-strings", "sampling.random_strings", {}, {"count": count, "seed": seed})
    return store.make(stage, write)


def _draw(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        text = "".join(draw.choices(CHARACTERS, k=draw.randint(SHORTEST, LONGEST)))
        if not text.isdigit():  # else it would be no word, and left out
            drawn[text] = None
    return list(drawn)
