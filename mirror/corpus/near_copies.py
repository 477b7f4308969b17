"""Estimate of the share of near copies in a corpus, such as texts that differ by a number.

Sorted neighbourhoods (Hernández and Stolfo 1995) of a sample: strings with equal beginnings are
drawn together and compared with their neighbours in alphabetical order, and likewise strings with
equal ends.  Copies that differ in one place have an equal beginning or an equal end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mirror.corpus.dedup import ngrams

SAMPLE = 1_500
"""Strings that are compared, about."""
KEY = 16
"""Characters at the beginning or end by which strings are drawn together."""
WINDOW = 3
"""Neighbours before a string that it is compared with."""
SIMILARITY = 0.8
"""Jaccard similarity of 3-grams from which strings are near copies."""
COMPARED = 96
"""Characters at the beginning and at the end that are compared of longer strings."""
SHORTEST = 2 * KEY
"""Characters of the shortest string that is compared."""

HASHES = 1_000_000
_DRAWN = f"""
WITH keyed AS (
    SELECT text, hash(left(text, {KEY})) % {HASHES} < $bound AS by_start,
           hash(right(text, {KEY})) % {HASHES} < $bound AS by_end
    FROM read_parquet($parts, hive_partitioning = false) WHERE length(text) >= {SHORTEST}
)
SELECT DISTINCT text, by_start, by_end FROM keyed WHERE by_start OR by_end
"""  # noqa: S608  # numbers of this module


def estimate_near_copies(sentences: Path, count: int, work: Path) -> float:
    """Return the share of a corpus's strings that are near copies of another, 0 to 1.

    Args:
        sentences: the corpus's folder of strings.
        count: how many it has.
        work: a folder for temporary files.
    """
    from mirror.duckdb_connection import connect, part_names

    parts = part_names(sentences)
    if not parts:
        return 0.0
    bound = math.ceil(HASHES * SAMPLE / max(count, 1))
    with connect(work) as connection:
        rows = connection.execute(_DRAWN, {"parts": parts, "bound": bound}).fetchall()
    starts = [text for text, by_start, _ in rows if by_start]
    ends = [text for text, _, by_end in rows if by_end]
    return max(near_copy_share(starts), near_copy_share(ends, from_end=True))


def near_copy_share(texts: Sequence[str], from_end: bool = False) -> float:
    """Return the share of texts that are near copies of one that is sorted shortly before them.

    Args:
        texts: different texts.
        from_end: sort them by their last characters.
    """
    ordered = sorted(texts, key=lambda text: text[::-1]) if from_end else sorted(texts)
    grams = [ngrams(text[:COMPARED] + text[COMPARED:][-COMPARED:]) for text in ordered]
    copies = sum(
        any(_are_near(own, other) for other in grams[max(0, number - WINDOW) : number])
        for number, own in enumerate(grams)
    )
    return copies / max(len(ordered), 1)


def _are_near(one: set[str], other: set[str]) -> bool:
    fewer, more = sorted((len(one), len(other)))
    if fewer < SIMILARITY * more:
        return False
    shared = len(one & other)
    return shared >= SIMILARITY * (len(one) + len(other) - shared)
