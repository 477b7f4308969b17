"""Retrieval that needs no labels: a passage's first part looks for its second.

A docstring's summary looks for its body among all bodies, or the first half of a paragraph for
the second.  Documents that the encoder was tuned on are left out; see `held_out_passages`.
"""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from mirror.duckdb_connection import MEMORY_LIMIT, connect, exact_names
from mirror.errors import BenchmarkError, StoreError
from mirror.run_data import RunData

MOST = 1_000
LEAST = 20
DEPTH = 10
"""Ranks beyond count as not found (MRR@10)."""

_SAMPLED = "SELECT text, document FROM read_parquet($strings, hive_partitioning = false)"
_PAIRED = """
SELECT text, document FROM read_parquet($sentences, hive_partitioning = false)
WHERE text IN (SELECT unnest([first, second]) FROM read_parquet($pairs, hive_partitioning = false))
UNION ALL SELECT unnest([first, second]), NULL FROM read_parquet($pairs, hive_partitioning = false)
"""
_PASSAGES = """
WITH tuned AS ({tuned}),
fresh AS (
    SELECT min(source) AS source, query, min(answer) AS answer
    FROM read_parquet($passages, hive_partitioning = false)
    WHERE document NOT IN (SELECT document FROM tuned WHERE document IS NOT NULL)
      AND query NOT IN (SELECT text FROM tuned) AND answer NOT IN (SELECT text FROM tuned)
    GROUP BY query),
once AS (SELECT min(source) AS source, min(query) AS query, answer FROM fresh GROUP BY answer)
SELECT md5(query || answer) AS hash, query, answer, source FROM once
ORDER BY hash, query LIMIT $most
"""


@dataclass(frozen=True)
class Passages:
    """Queries and, in the same order, their answers; all different."""

    sources: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[str, ...]


def held_out_passages(data: RunData) -> Passages:
    """Up to 1,000 passages of the corpus that neither the sample nor labelled pairs touch.

    A sampled string, or a text of a pair, belongs to the document that has it first, if any has.
    No passage is of such a document, and no query and no answer is itself such a text.  A passage
    may still repeat, as a part of it, a sentence that was sampled from an earlier document.  Words
    belong to no document, so a sample of words leaves out no more than passages that are one word
    of it.

    Drawn in the order of a hash, so that equal corpora, samples and pairs give equal passages.

    Raises:
        BenchmarkError: fewer than 20 are left.
        StoreError: memory and temporary space do not suffice.
    """
    files = exact_names(sorted((data.corpus.path / "passages").glob("*.parquet")))
    rows = _draw(files, data) if files else []
    if len(rows) < LEAST:
        raise BenchmarkError(
            f"the corpus in {data.corpus.path} has {len(rows)} passages that nothing tuned on "
            f"touches, and label-free retrieval needs {LEAST}: give it more text, lower "
            "sample.size, or choose another benchmark"
        )
    _, queries, answers, sources = zip(*rows, strict=True)
    return Passages(sources, queries, answers)


def _draw(files: list[str], data: RunData) -> list[tuple[str, str, str, str]]:
    strings = exact_names([data.sample.path / "strings.parquet"])
    values = {"strings": strings, "passages": files, "most": MOST}
    tuned = _SAMPLED
    if data.pairs is not None:
        tuned = f"{_SAMPLED} UNION ALL {_PAIRED}"
        sentences = exact_names(sorted((data.corpus.path / "sentences").glob("*.parquet")))
        values |= {
            "sentences": sentences,
            "pairs": exact_names([data.pairs.path / "pairs.parquet"]),
        }
    with tempfile.TemporaryDirectory(prefix="mirror-") as work:
        try:
            with connect(Path(work)) as engine:
                return sorted(engine.execute(_PASSAGES.format(tuned=tuned), values).fetchall())
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"passages could not be drawn with {MEMORY_LIMIT} of memory and {work} for the "
                f"rest ({error}): free some space there, or set TMPDIR to another folder"
            ) from error


def reciprocal_ranks(
    queries: NDArray[np.float32], answers: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Reciprocal rank of each query's own answer among all answers, by cosine; 0 beyond rank 10.

    An answer as near as another counts as behind it, so that equal vectors earn nothing.
    """
    scores = unit_rows(queries) @ unit_rows(answers).T
    return _reciprocal(scores)


def bm25_reciprocal_ranks(passages: Passages) -> NDArray[np.float64]:
    """The same by BM25 (Lucene's variant, k1 1.5, b 0.75), which knows words and no meaning."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG, and prints
    corpus = [_words(text) for text in passages.answers]
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    known = set(index.vocab_dict)
    scores = np.zeros((len(passages.queries), len(corpus)), dtype=np.float32)
    for row, query in zip(scores, passages.queries, strict=True):
        if tokens := [word for word in _words(query) if word in known]:
            row[:] = index.get_scores(tokens)
    return _reciprocal(scores)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1; nan where it is zero: (rows, width)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: NDArray[np.float32] = vectors / norms
    return unit


def _reciprocal(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    own = np.diag(scores)[:, None]
    ranks = (scores >= own).sum(axis=1).astype(np.float64)
    found = np.where((ranks >= 1) & (ranks <= DEPTH), 1 / np.maximum(ranks, 1), 0.0)
    return np.where(np.isnan(own[:, 0]), np.nan, found)
