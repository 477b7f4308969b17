"""Label-free retrieval: the first part of a passage is the query for its second part.

The query is a docstring's summary and its answer the body, or the two halves of a paragraph.
Documents that the encoder was tuned on are left out; see `held_out_passages`.
"""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.benchmark import Benchmark, register_kind
from mirror.evaluation.metrics import Predictions, unit_rows
from mirror.evaluation.result import (
    BenchmarkResult,
    TextEncoder,
    make_result,
    require_run,
)
from mirror.run_data import RunData

MAX_PASSAGES = 1_000
MIN_PASSAGES = 20
DEPTH = 10
"""Rank of the last answer that counts (MRR@10)."""

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
ORDER BY hash, query LIMIT $limit
"""


@dataclass(frozen=True)
class Passages:
    """Distinct queries and, in the same order, their distinct answers."""

    sources: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[str, ...]


@register_kind
class RetrievalBenchmark(Benchmark):
    """Passages of the run's own corpus; BM25 is the baseline."""

    TASK = "retrieval"
    METRIC = "mrr@10"
    LIBRARIES = ("bm25s", "duckdb")
    NEEDS_RUN = True

    def load(self, run: RunData | None) -> Passages:
        """Return the held-out passages of the run's corpus."""
        return held_out_passages(require_run(self, run))

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return the mean reciprocal rank of the right answer, 0 beyond rank 10."""
        passages: Passages = data
        queries, answers = encoder.encode(passages.queries), encoder.encode(passages.answers)
        ranks = reciprocal_ranks(queries, answers)
        bm25 = float(bm25_reciprocal_ranks(passages).mean())
        return make_result(self, Predictions(("",) * len(ranks), ranks), baselines={"bm25": bm25})


def held_out_passages(run: RunData) -> Passages:
    """Return up to 1,000 passages that the sample and the labelled pairs do not touch.

    A sampled string or a text of a pair belongs to the first document that holds it.  Passages of
    such documents are left out, and so are queries and answers that equal such a text.  A passage
    may still contain a sentence that was sampled from an earlier document.  Words belong to no
    document, so a sample of words leaves out only passages that are one of its words.

    Passages are drawn in the order of a hash: equal corpora, samples and pairs give equal passages.

    Raises:
        BenchmarkError: fewer than 20 are left.
        StoreError: memory and temporary space do not suffice.
    """
    from mirror.duckdb_connection import exact_names

    files = exact_names(sorted((run.corpus.path / "passages").glob("*.parquet")))
    rows = _draw(files, run) if files else []
    if len(rows) < MIN_PASSAGES:
        raise BenchmarkError(
            f"the corpus in {run.corpus.path} has {len(rows)} passages that were not tuned on, and "
            f"label-free retrieval needs {MIN_PASSAGES}: give it more text, lower sample.size, or "
            "choose another benchmark"
        )
    _, queries, answers, sources = zip(*rows, strict=True)
    return Passages(sources, queries, answers)


def _draw(files: list[str], run: RunData) -> list[tuple[str, str, str, str]]:
    import duckdb

    from mirror.duckdb_connection import MEMORY_LIMIT, connect, exact_names

    strings = exact_names([run.sample.path / "strings.parquet"])
    values = {"strings": strings, "passages": files, "limit": MAX_PASSAGES}
    tuned = _SAMPLED
    if run.pairs is not None:
        tuned = f"{_SAMPLED} UNION ALL {_PAIRED}"
        sentences = exact_names(sorted((run.corpus.path / "sentences").glob("*.parquet")))
        labelled = exact_names([run.pairs.path / "pairs.parquet"])
        values |= {"sentences": sentences, "pairs": labelled}
    with tempfile.TemporaryDirectory(prefix="mirror-") as work:
        try:
            with connect(Path(work)) as connection:
                return sorted(connection.execute(_PASSAGES.format(tuned=tuned), values).fetchall())
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"passages could not be drawn with {MEMORY_LIMIT} of memory and temporary files in "
                f"{work} ({error}): free some space there, or set TMPDIR to another folder"
            ) from error


def reciprocal_ranks(
    queries: NDArray[np.float32], answers: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the reciprocal rank of each query's answer by cosine, 0 beyond rank 10: (queries,).

    The right answer counts as last among answers of equal cosine, so that a collapsed encoder
    scores 0.

    Args:
        queries: embeddings (queries, dimension).
        answers: embeddings (queries, dimension), in the same order.
    """
    scores = unit_rows(queries) @ unit_rows(answers).T
    return _reciprocal(scores)


def bm25_reciprocal_ranks(passages: Passages) -> NDArray[np.float64]:
    """Return the reciprocal ranks by BM25 (Lucene's variant, k1 1.5, b 0.75): (queries,)."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # bm25s sets its own logger to DEBUG
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


def _reciprocal(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    right = np.diag(scores)[:, None]
    ranks = (scores >= right).sum(axis=1).astype(np.float64)
    reciprocal = np.where((ranks >= 1) & (ranks <= DEPTH), 1 / np.maximum(ranks, 1), 0.0)
    return np.where(np.isnan(right[:, 0]), np.nan, reciprocal)
