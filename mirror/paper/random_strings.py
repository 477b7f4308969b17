"""Strings without meaning in the place of words (paper, table 10)."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mirror.store import Stage, Store

ALPHABET = string.ascii_lowercase + string.digits
LENGTHS = range(3, 13)
"""In characters; the paper says only that they are letters and digits.  Most words lie here."""
FILE = "strings.txt"


def random_strings(count: int, seed: int) -> Iterator[str]:
    """Different strings of random letters and digits, the same for the same seed."""
    draw = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        text = "".join(draw.choices(ALPHABET, k=draw.choice(LENGTHS)))
        if text not in seen:
            seen.add(text)
            yield text


def random_strings_file(count: int, seed: int, store: Store) -> Path:
    """A file with one random string a line.

    Raises:
        StoreError: the workspace cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        lines = "".join(f"{text}\n" for text in random_strings(count, seed))
        (out / FILE).write_text(lines, encoding="utf-8")
        return {"strings": count}

    section = {"count": count, "seed": seed}
    stage = Stage("random-strings", "paper.random_strings", {}, section)
    return store.make(stage, write).path / FILE
