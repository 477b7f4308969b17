"""Documents held out for evaluation: the same for every recipe on a corpus, and never tuned on.

A document is held out if the hash of its first string is below a bound, so it stays held out while
the corpus grows.  A small corpus holds out a larger share, which includes the smaller one.  Words,
which belong to no document, are counted in all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb

from mirror.duckdb_connection import part_names

SHARE = 0.1
FEWEST = 200
"""Documents that are held out at least, if these are at most `MOST` of all."""
MOST = 0.5
HELD_OUT_SHARE = "held_out_share"
"""Name of the share in a sample's counts and a version's tags."""

_BOUND_DIGITS = 8
_OPENINGS = """
CREATE TEMP TABLE openings AS
SELECT document, arg_min(text, (position, text)) AS opening, count(*) AS sentences
FROM read_parquet($parts, hive_partitioning = false) GROUP BY document
"""
_HELD_OUT = """
CREATE TEMP TABLE held_out AS
SELECT document, opening, sentences FROM openings WHERE md5('held out:' || opening) < $bound
"""


class HeldOut(NamedTuple):
    """What is held out of a corpus."""

    documents: int
    share: float
    """A corpus that holds out a larger share holds out all that one with a smaller share does."""


def create_held_out(connection: duckdb.DuckDBPyConnection, corpus: Path) -> HeldOut:
    """Create the table `held_out` (document, opening, sentences) of documents not to be tuned on.

    It is empty for lists and corpora of single sentences, which have no passages to search.

    Args:
        connection: of DuckDB.
        corpus: the folder of a corpus.
    """
    connection.execute(_OPENINGS, {"parts": part_names(corpus / "sentences")})
    query = "SELECT count(*) FROM openings WHERE sentences > 1"
    [(documents,)] = connection.execute(query).fetchall()
    share = held_out_share(documents)
    bound = format(int(share * 16**_BOUND_DIGITS), "08x")
    connection.execute(_HELD_OUT, {"bound": bound})
    connection.execute("DROP TABLE openings")
    [(count,)] = connection.execute("SELECT count(*) FROM held_out").fetchall()
    return HeldOut(int(count), share)


def overlap(left_out: float | None, share: float) -> str:
    """Return why an encoder may have been tuned on held-out documents; empty if it was not.

    Args:
        left_out: the share that was held out when it was tuned; None if that was not recorded.
        share: the share that is held out now.
    """
    if left_out is None:
        return "which documents it left out is not recorded"
    if left_out < share:
        return f"{left_out:.0%} of the documents were held out then, and {share:.0%} are now"
    return ""


def held_out_share(documents: int) -> float:
    """Return the share of a corpus with so many documents of two sentences that is held out."""
    return max(SHARE, min(MOST, FEWEST / documents)) if documents else 0.0
