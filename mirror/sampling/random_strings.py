"""Random strings of letters and digits, a baseline for words (paper, Table 10)."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.store import Stage, StageRecord, Store

CHARACTERS = string.ascii_lowercase + string.digits
MIN_CHARACTERS, MAX_CHARACTERS = 3, 10
"""Length of a string; the paper does not give it."""


def random_corpus(count: int, seed: int, store: Store) -> dict[str, Any]:
    """Return the `[corpus]` of a recipe for `count` different random strings, unprocessed.

    Raises:
        StoreError: the folder cannot be written.
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
    """Draw `count` different strings, each with a letter; `strings.txt` has one per line.

    Raises:
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        (out / "strings.txt").write_text("".join(f"{text}\n" for text in _draw(count, seed)))
        return {"strings": count}

    stage = Stage("random-strings", "sampling.random_strings", {}, {"count": count, "seed": seed})
    return store.make(stage, write)


def _draw(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        text = "".join(
            generator.choices(CHARACTERS, k=generator.randint(MIN_CHARACTERS, MAX_CHARACTERS))
        )
        if not text.isdigit():  # a number is no word and would be rejected
            drawn[text] = None
    return list(drawn)
