"""Documents of a corpus, drawn whole, for views that are parts of one document."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from mirror.duckdb_connection import connect, part_names
from mirror.errors import SampleError
from mirror.held_out import create_held_out
from mirror.log_once import warn_once
from mirror.recipe import Recipe, SampleSection
from mirror.store import StageRecord

log = logging.getLogger(__name__)

_DOCUMENTS = """
CREATE TEMP TABLE documents AS
SELECT document, min(source) AS source, count(*) AS sentences,
       md5($seed || ':' || arg_min(text, (position, text))) AS hash
FROM read_parquet($parts, hive_partitioning = false)
WHERE document NOT IN (SELECT document FROM held_out) GROUP BY document
"""
# Documents of one sentence come last: they give no two different views.
_DRAWN = """
CREATE TEMP TABLE drawn AS
WITH ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY {group} ORDER BY sentences = 1, hash, document
    ) AS turn FROM documents
)
SELECT document, hash, sentences FROM ranked
ORDER BY sentences = 1, turn, hash, document LIMIT $size
"""
_STRINGS = """
SELECT hash, text, source, document, count, position
FROM read_parquet($parts, hive_partitioning = false) JOIN drawn USING (document)
"""
_TITLES = """
SELECT hash, document, title, body
FROM read_parquet($titles, hive_partitioning = false) JOIN drawn USING (document)
"""
_BY_LENGTH = """
SELECT count(*), count(*) FILTER (sentences > 1) FROM (
    SELECT count(*) AS sentences
    FROM read_parquet($parts, hive_partitioning = false) GROUP BY document
)
"""
_STRING_ORDER = [("hash", "ascending"), ("document", "ascending"), ("position", "ascending")]
_TITLE_ORDER = [("hash", "ascending"), ("document", "ascending"), ("title", "ascending")]


@dataclass(frozen=True)
class DocumentSample:
    """Documents drawn from a corpus."""

    documents: int
    single: int
    """Documents of one sentence among them."""
    available: int
    """Documents that could be drawn; those held out for evaluation are left out."""
    held_out_share: float
    strings: pa.Table
    """(text, source, document, count, position), documents in hash order and each in its order."""
    titles: pa.Table
    """(document, title, body), in the same order, of documents that have a title."""


def draw_documents(
    connection: duckdb.DuckDBPyConnection, corpus: Path, section: SampleSection
) -> DocumentSample:
    """Return up to `section.size` documents, ordered by a hash of seed and first string.

    A smaller sample is part of every larger one.  Documents of one sentence are drawn only if there
    are too few others.

    Args:
        connection: of DuckDB.
        corpus: the folder of a corpus.
        section: settings of the sample.

    Raises:
        SampleError: the corpus has no documents.
    """
    parts = part_names(corpus / "sentences")
    if not parts:
        raise SampleError(f"no strings in {corpus}: check the recipe's [corpus]")
    share = create_held_out(connection, corpus).share
    connection.execute(_DOCUMENTS, {"seed": str(section.seed), "parts": parts})
    group = "source, sentences = 1" if section.stratify_by_source else "sentences = 1"
    connection.execute(_DRAWN.format(group=group), {"size": section.size})
    [(available,)] = connection.execute("SELECT count(*) FROM documents").fetchall()
    [(drawn, single)] = connection.execute(
        "SELECT count(*), count(*) FILTER (sentences = 1) FROM drawn"
    ).fetchall()
    # Sorted here: DuckDB 2.0 may return an ordered result's parts in any order.
    strings = connection.sql(_STRINGS, params={"parts": parts}).to_arrow_table()
    return DocumentSample(
        documents=int(drawn),
        single=int(single),
        available=int(available),
        held_out_share=share,
        strings=strings.sort_by(_STRING_ORDER).drop_columns(["hash"]),
        titles=_titles(connection, corpus),
    )


def settle_views(recipe: Recipe, corpus: StageRecord) -> Recipe:
    """Return the recipe with identity pairs if it leaves its views to a corpus of single sentences.

    Crops, the default, need documents of several sentences: at least half of those that the sample
    takes, and a batch of them.  A warning says if there are fewer.
    """
    parts = part_names(corpus.path / "sentences")
    if not recipe.has_default_views or not parts:
        return recipe
    with tempfile.TemporaryDirectory() as work, connect(Path(work)) as connection:
        [(documents, several)] = connection.execute(_BY_LENGTH, {"parts": parts}).fetchall()
    taken = min(recipe.sample.size, int(documents))
    if several >= max(taken / 2, recipe.tuning.batch_size):
        return recipe
    warn_once(
        log,
        f"only {several:,} of the {documents:,} documents of {recipe.name} have two sentences or "
        "more, too few to tune on crops: each sentence is paired with itself; set tuning.views to "
        "'identity' to accept this, or let each row or paragraph of the text be a whole document",
    )
    return recipe.with_identity()


def check_documents(sample: DocumentSample, recipe: Recipe, corpus: Path) -> None:
    """Check that the documents give the views of a recipe; warn if most give only one sentence.

    Raises:
        SampleError: they are fewer than a batch takes, or none has a title that views need.
    """
    if sample.documents < recipe.tuning.batch_size:
        raise SampleError(
            f"the corpus in {corpus} has {sample.documents} documents to tune on, fewer "
            f"than one batch of {recipe.tuning.batch_size}: add text, lower tuning.batch_size, or "
            "set tuning.views to 'identity', which takes single sentences"
        )
    if "titles" in recipe.tuning.views and not sample.titles.num_rows:
        raise SampleError(
            f"no document of the corpus in {corpus} has a title: name the column of titles "
            "with corpus.title_column, read files with headings or subjects (Markdown, rst, HTML, "
            "mail), or set tuning.views to 'crops'"
        )
    if 2 * sample.single > sample.documents:
        log.warning(
            "%d of the %d documents have one sentence, which is tuned on with itself: neighbouring "
            "sentences must be in one row or paragraph of the text to be one document",
            sample.single,
            sample.documents,
        )


def _titles(connection: duckdb.DuckDBPyConnection, corpus: Path) -> pa.Table:
    parts = part_names(corpus / "titles")
    titles = connection.sql(_TITLES, params={"titles": parts}).to_arrow_table()
    return titles.sort_by(_TITLE_ORDER).drop_columns(["hash"])
