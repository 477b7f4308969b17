"""Documents held out for evaluation: the same for every recipe on a corpus, and never tuned on.

A document is held out if the hash of its first string is below a bound, so it stays held out while
the corpus grows.  A small corpus holds out a larger share, which includes the smaller one.  Words,
which belong to no document, are counted in all of them.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from mirror.duckdb_connection import part_names

SHARE = 0.1
FEWEST = 200
"""Documents that are held out at least, if these are at most `MOST` of all."""
MOST = 0.5

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


def create_held_out(connection: duckdb.DuckDBPyConnection, corpus: Path) -> int:
    """Create the table `held_out` (document, opening, sentences) of documents not to be tuned on.

    It is empty for lists and corpora of single sentences, which have no passages to search.

    Args:
        connection: of DuckDB.
        corpus: the folder of a corpus.

    Returns:
        The number of documents.
    """
    connection.execute(_OPENINGS, {"parts": part_names(corpus / "sentences")})
    query = "SELECT count(*) FROM openings WHERE sentences > 1"
    [(documents,)] = connection.execute(query).fetchall()
    bound = format(int(held_out_share(documents) * 16**_BOUND_DIGITS), "08x")
    connection.execute(_HELD_OUT, {"bound": bound})
    connection.execute("DROP TABLE openings")
    [(count,)] = connection.execute("SELECT count(*) FROM held_out").fetchall()
    return int(count)


def held_out_share(documents: int) -> float:
    """Return the share of a corpus with so many documents of two sentences that is held out."""
    return max(SHARE, min(MOST, FEWEST / documents)) if documents else 0.0
