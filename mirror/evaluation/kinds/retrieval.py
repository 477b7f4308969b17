"""Label-free retrieval: a part of a document is the query for another part of it.

Documents are those that no recipe tunes on (`mirror.held_out`).
"""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.benchmark import Benchmark, register_kind
from mirror.evaluation.document_counts import (
    FEWEST_OF_SHORT,
    FEWEST_SENTENCES,
    MIN_PASSAGES,
    Form,
    count_documents,
    too_few_documents,
)
from mirror.evaluation.metrics import (
    Predictions,
    chance_rank,
    cosine_scores,
    reciprocal_ranks,
)
from mirror.evaluation.result import (
    BenchmarkResult,
    TextEncoder,
    make_result,
    require_run,
)
from mirror.evaluation.score_change import joined_with
from mirror.run_data import RunData

if TYPE_CHECKING:
    import duckdb

MAX_PASSAGES = 1_000

_PAIR_TEXTS = """
CREATE TEMP TABLE pair_texts AS
SELECT unnest([first, second]) AS text FROM read_parquet($pairs, hive_partitioning = false)
"""
_WITHOUT_PAIRS = """
DELETE FROM held_out WHERE document IN (
    SELECT document FROM read_parquet($sentences, hive_partitioning = false)
    WHERE text IN (SELECT text FROM pair_texts)
)
"""
# A half begins with the document's first sentence; a single sentence is drawn by a hash.
_PASSAGES: dict[Form, str] = {
    "titles": """
SELECT document, title AS query, body AS answer
FROM read_parquet($titles, hive_partitioning = false)
""",
    "halves": """
SELECT document,
       string_agg(text, ' ' ORDER BY position) FILTER (nth <= sentences // 2) AS query,
       string_agg(text, ' ' ORDER BY position) FILTER (nth > sentences // 2) AS answer
FROM numbered GROUP BY document
""",
    "sentences": """
SELECT document,
       string_agg(text, ' ' ORDER BY position) FILTER (nth = chosen) AS query,
       string_agg(text, ' ' ORDER BY position) FILTER (nth <> chosen) AS answer
FROM numbered GROUP BY document
""",
}
_CANDIDATES = """
CREATE TEMP TABLE candidates AS
WITH numbered AS (
    SELECT document, text, position, sentences,
           row_number() OVER (PARTITION BY document ORDER BY position) AS nth,
           ('0x' || substr(md5(opening), 1, 8))::UBIGINT % sentences + 1 AS chosen
    FROM read_parquet($sentences, hive_partitioning = false) JOIN held_out USING (document)
    WHERE sentences >= $fewest
),
passages AS ({passages}),
sources AS (
    SELECT document, min(source) AS source
    FROM read_parquet($sentences, hive_partitioning = false) GROUP BY document
)
SELECT source, query, answer
FROM passages JOIN held_out USING (document) JOIN sources USING (document)
"""
# A text may also be in a document that is tuned on, or in a labelled pair.
_TOUCHED = """
CREATE TEMP TABLE touched AS
WITH texts AS (SELECT query AS text FROM candidates UNION SELECT answer FROM candidates)
SELECT text FROM read_parquet($sentences, hive_partitioning = false) SEMI JOIN texts USING (text)
WHERE document NOT IN (SELECT document FROM held_out)
UNION ALL
SELECT title FROM read_parquet($titles, hive_partitioning = false) SEMI JOIN texts ON title = text
WHERE document NOT IN (SELECT document FROM held_out)
UNION ALL SELECT text FROM pair_texts
"""
_DRAWN = """
WITH fresh AS (
    SELECT min(source) AS source, query, min(answer) AS answer FROM candidates
    WHERE query NOT IN (SELECT text FROM touched) AND answer NOT IN (SELECT text FROM touched)
    GROUP BY query),
once AS (SELECT min(source) AS source, min(query) AS query, answer FROM fresh GROUP BY answer)
SELECT md5(query || answer) AS hash, query, answer, source FROM once
ORDER BY hash, query LIMIT $limit
"""

BM25 = "BM25"
WITH_BM25 = joined_with(BM25)
"""Extra metric: BM25 joined with the encoder by reciprocal ranks."""


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
    EXTRA_METRICS = (WITH_BM25,)
    NEEDS_RUN = True

    form: Form = "halves"
    """titles: a title finds its text; halves: the first half of a document's sentences finds the
    second; sentences: one sentence finds the rest of its document of three sentences or
    more, or of two where few have three."""

    def load(self, run: RunData | None) -> Passages:
        """Return the held-out passages of the run's corpus."""
        return held_out_passages(require_run(self, run), self.form)

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return the mean reciprocal rank of the right answer, 0 beyond rank 10."""
        passages: Passages = data
        queries, answers = encoder.encode(passages.queries), encoder.encode(passages.answers)
        cosines, words = cosine_scores(queries, answers), bm25_scores(passages)
        ranks, bm25, joined = (
            reciprocal_ranks(scores) for scores in (cosines, words, fused_scores(words, cosines))
        )
        return make_result(
            self,
            Predictions(("",) * len(ranks), ranks),
            baselines={BM25: float(bm25.mean())},
            extra_metrics={WITH_BM25: float(joined.mean())},
            chance=chance_rank(len(ranks)),
        )


def held_out_passages(run: RunData, form: Form = "halves") -> Passages:
    """Return up to 1,000 passages of documents that no recipe tunes on.

    A passage is left out if its query or its answer is also a string or a title of a document that
    may be tuned on, or if its document holds a text of the run's labelled pairs.

    Passages are drawn in the order of a hash.  They depend on the corpus and the labelled pairs,
    not on the sample: encoders of all recipes on a corpus are compared on the same ones.

    Raises:
        BenchmarkError: fewer than 20 are left.
        StoreError: memory and temporary space do not suffice.
    """
    rows = _draw(run, form, FEWEST_SENTENCES[form])
    if form == "sentences" and len(rows) < MIN_PASSAGES:
        rows = _draw(run, form, FEWEST_OF_SHORT)
    if len(rows) < MIN_PASSAGES:
        counts = count_documents(run.corpus)
        raise BenchmarkError(too_few_documents(run.corpus.path, counts, form, len(rows)))
    _, queries, answers, sources = zip(*rows, strict=True)
    return Passages(sources, queries, answers)


def _draw(run: RunData, form: Form, fewest: int) -> list[tuple[str, str, str, str]]:
    import duckdb

    from mirror.duckdb_connection import MEMORY_LIMIT, connect
    from mirror.held_out import create_held_out

    with tempfile.TemporaryDirectory(prefix="mirror-") as work:
        try:
            with connect(Path(work)) as connection:
                create_held_out(connection, run.corpus.path)
                return _query(connection, run, form, fewest)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"passages could not be drawn with {MEMORY_LIMIT} of memory and temporary files in "
                f"{work} ({error}): free some space there, or set TMPDIR to another folder"
            ) from error


def _query(
    connection: duckdb.DuckDBPyConnection, run: RunData, form: Form, fewest: int
) -> list[tuple[str, str, str, str]]:
    """Return the passages by a connection that has the table `held_out`."""
    from mirror.duckdb_connection import exact_names, part_names

    sentences, titles = (part_names(run.corpus.path / name) for name in ("sentences", "titles"))
    if run.pairs is None:
        connection.execute("CREATE TEMP TABLE pair_texts (text VARCHAR)")
    else:
        pairs = exact_names([run.pairs.path / "pairs.parquet"])
        connection.execute(_PAIR_TEXTS, {"pairs": pairs})
        connection.execute(_WITHOUT_PAIRS, {"sentences": sentences})
    values = {"sentences": sentences, "fewest": fewest}
    if form == "titles":
        values["titles"] = titles
    connection.execute(_CANDIDATES.format(passages=_PASSAGES[form]), values)
    connection.execute(_TOUCHED, {"sentences": sentences, "titles": titles})
    return sorted(connection.execute(_DRAWN, {"limit": MAX_PASSAGES}).fetchall())


def fused_scores(words: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return scores by the ranks in both matrices (Cormack et al. 2009, with k = 60).

    Equal sums are ordered by the cosines.
    """
    fused: NDArray[np.float64] = sum(
        1 / (61 + (-scores).argsort(1, kind="stable").argsort(1)) for scores in (words, cosines)
    ) + 1e-9 * cosines.astype(np.float64)
    return fused


def bm25_scores(passages: Passages) -> NDArray[np.float32]:
    """Return BM25 of each query (row) with each answer (Lucene's variant, k1 1.5, b 0.75)."""
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
    return scores


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
