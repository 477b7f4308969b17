"""Files of finished stages: JSON, strings, and one error for those that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirror.errors import StoreError
from mirror.store import StageRecord

MAX_TEXTS = 10_000
"""Size of the paper's training lists."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise errors of reading a stage's file within the block as StoreError."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"{path} cannot be read ({error}): remove its folder and run again"
        raise StoreError(message) from error


def read_json(path: Path) -> Any:
    """Return the content of a stage's JSON file.

    Raises:
        StoreError: it is missing or damaged.
    """
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def sampled_texts(sample: StageRecord, most: int = MAX_TEXTS) -> list[str]:
    """Return the first strings of a sample, which is in the order of a hash.

    Raises:
        StoreError: the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    path = sample.path / "strings.parquet"
    with reading(path):
        texts: list[str] = pq.read_table(path, columns=["text"])["text"].slice(0, most).to_pylist()
    return texts
