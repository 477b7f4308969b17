"""Sample of a corpus: the strings, words or documents that an encoder is tuned on.

They are ordered by a hash of seed and text, which does not depend on versions of libraries, the
number of threads or the layout of files.  A smaller sample is therefore part of every larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.duckdb_connection import MEMORY_LIMIT, connect, exact_names
from mirror.errors import SampleError, StoreError
from mirror.held_out import HELD_OUT_SHARE, create_held_out
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe, SampleSection
from mirror.sampling.documents import check_documents, draw_documents
from mirror.sampling.word_counts import count_words
from mirror.sampling.words import Splitter, check_words, is_word, word_libraries, word_splitter
from mirror.store import Stage, StageRecord, Store, section_content

ROW_GROUP = 1 << 16
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("source", pa.string()),
        ("document", pa.int64()),
        ("count", pa.int64()),
    ]
)

_ALL_STRINGS = """
CREATE TEMP TABLE strings AS
SELECT text, arg_min(source, (document, source)) AS source, min(document) AS document,
       sum(count)::BIGINT AS count, md5($seed || ':' || text) AS hash
FROM read_parquet($parts, hive_partitioning = false)
WHERE document NOT IN (SELECT document FROM held_out) GROUP BY text
"""
# Each occurrence of a line has a hash of its own.
_ALL_LINES = """
CREATE TEMP TABLE strings AS
WITH numbered AS (
    SELECT *, row_number() OVER (
        PARTITION BY text ORDER BY document, position, source, count
    ) AS nth
    FROM read_parquet($parts, hive_partitioning = false)
    WHERE document NOT IN (SELECT document FROM held_out)
)
SELECT text, source, document, count,
       md5($seed || ':' || text || CASE nth WHEN 1 THEN '' ELSE ':' || nth END) AS hash
FROM numbered
"""
# A word belongs to the source where it is most frequent, and to no document.
_ALL_WORDS = """
CREATE TEMP TABLE strings AS
WITH by_source AS (SELECT text, source, sum(count) AS count FROM word_counts GROUP BY text, source)
SELECT text, arg_min(source, (-count, source)) AS source, NULL::BIGINT AS document,
       sum(count)::BIGINT AS count, md5($seed || ':' || text) AS hash
FROM by_source GROUP BY text HAVING sum(count) >= $min_count
"""
_DRAWN = """
WITH ranked AS (SELECT *, {turn} AS turn FROM strings)
SELECT hash, text, source, document, count FROM ranked ORDER BY turn, {order} LIMIT $size
"""
_BY_HASH = "hash, text"
_BY_COUNT = "count DESC, hash, text"


def check_sampling(recipe: Recipe) -> None:
    """Check that the recipe's language can be split into words, if words are sampled.

    Raises:
        InputError: the language needs an extra that is not installed, or has no tokenizer.
    """
    if recipe.level == "word" and not recipe.corpus.is_list:
        check_words(recipe.language)


def sample_stage(recipe: Recipe, corpus: StageRecord) -> Stage:
    """Return the stage that draws a recipe's strings.

    DuckDB's version is not part of its key, because the order does not depend on it.

    Raises:
        InputError: words of the recipe's language need an extra that is not installed.
    """
    section = {**section_content(recipe.sample), "level": recipe.level}
    section |= {
        "keep_raw": recipe.corpus.keep_raw,
        "documents": recipe.tuning.uses_documents,
    }
    libraries: tuple[str, ...] = ("pyarrow",)
    if recipe.level == "word":
        section |= {"language": recipe.language, "listed": recipe.corpus.is_list}
        libraries += ("regex",) if recipe.corpus.is_list else word_libraries(recipe.language)
    else:
        del section["min_count"]
    return Stage("sample", "sampling.sample", {"corpus": corpus.digest}, section, libraries)


def sample_strings(
    recipe: Recipe, corpus: StageRecord, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Draw the recipe's strings from the corpus, or reuse them.

    The folder holds `strings.parquet` (text, source, document, count) in hash order: `count` is
    the frequency of the string or word in the corpus, `document` is null for words.  With
    `keep_raw`, repeated lines are repeated.  For views of documents the strings are those of the
    drawn documents, whole and in order, and `titles.parquet` has the documents' titles.

    Raises:
        SampleError: the corpus has fewer different strings than `sample.size`.
        InputError: words of the recipe's language need an extra that is not installed.
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        with connect(work) as connection:
            try:
                if recipe.tuning.uses_documents:
                    return _write_documents(connection, recipe, corpus, out, on_progress)
                split, repeats = _splitter(recipe), recipe.corpus.keep_raw
                available, share = build_candidates(
                    connection, corpus.path, recipe.sample, split, repeats, on_progress
                )
                _check_enough(connection, recipe, corpus, available)
                table = draw_sample(connection, recipe.sample, by_count=split is not None)
            except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
                raise StoreError(
                    f"the corpus in {corpus.folder} cannot be sampled with {MEMORY_LIMIT} of "
                    f"memory and temporary files in {work} ({error}): free disk space and run again"
                ) from error
        pq.write_table(table, out / "strings.parquet", ROW_GROUP, compression="zstd")
        on_progress(ProgressEvent("sample", table.num_rows, table.num_rows, "strings", "drawn"))
        counts = _counts(table, 1 if recipe.level == "word" else 10)
        return {"available": available, HELD_OUT_SHARE: share, **counts}

    return store.make(sample_stage(recipe, corpus), write)


def _write_documents(
    connection: duckdb.DuckDBPyConnection,
    recipe: Recipe,
    corpus: StageRecord,
    out: Path,
    on_progress: OnProgress,
) -> Mapping[str, Any]:
    """Write the strings and titles of the documents drawn; return the counts."""
    sample = draw_documents(connection, corpus.path, recipe.sample)
    check_documents(sample, recipe, corpus.path)
    pq.write_table(sample.strings, out / "strings.parquet", ROW_GROUP, compression="zstd")
    pq.write_table(sample.titles, out / "titles.parquet", ROW_GROUP, compression="zstd")
    count = sample.documents
    on_progress(ProgressEvent("sample", count, count, "documents", "drawn"))
    return {
        "available": sample.available,
        "documents": count,
        "single_sentences": sample.single,
        "titles": sample.titles.num_rows,
        HELD_OUT_SHARE: sample.held_out_share,
        **_counts(sample.strings, 10),
    }


def build_candidates(
    connection: duckdb.DuckDBPyConnection,
    corpus: Path,
    section: SampleSection,
    split: Splitter | None = None,
    repeats: bool = False,
    on_progress: OnProgress = no_progress,
) -> tuple[int, float]:
    """Create the table `strings` of all strings or words, each once unless they repeat.

    Args:
        connection: of DuckDB.
        corpus: the folder of a corpus.
        section: settings of the sample.
        split: function from a text to its words; None for whole strings.
        repeats: whether a whole string is taken as often as the corpus has it.
        on_progress: called while words are counted.

    Returns:
        The number of rows, and the share of documents that are held out, which is 0 for words.
    """
    parts = sorted((corpus / "sentences").glob("part-*.parquet"))
    if not parts:
        raise SampleError(f"no strings in {corpus}: check the recipe's [corpus]")
    seed = str(section.seed)
    if split is None:
        share = create_held_out(connection, corpus).share
        query = _ALL_LINES if repeats else _ALL_STRINGS
        connection.execute(query, {"seed": seed, "parts": exact_names(parts)})
    else:
        share = 0.0
        count_words(connection, parts, split, on_progress)
        connection.execute(_ALL_WORDS, {"seed": seed, "min_count": section.min_count})
    [(available,)] = connection.execute("SELECT count(*) FROM strings").fetchall()
    return int(available), share


def draw_sample(
    connection: duckdb.DuckDBPyConnection, section: SampleSection, by_count: bool
) -> pa.Table:
    """Return the sample in hash order from the table `strings`.

    With `stratify_by_source`, each source gives equally many strings until it has no more.
    """
    order = _BY_COUNT if by_count else _BY_HASH
    turn = (
        f"row_number() OVER (PARTITION BY source ORDER BY {order})"
        if section.stratify_by_source
        else "0"
    )
    query = _DRAWN.format(turn=turn, order=order)
    drawn = connection.sql(query, params={"size": section.size}).to_arrow_table()
    # Sorted again: without preserve_insertion_order, DuckDB 2.0 may return the parts of an ordered
    # result in any order (seen with 2 threads, 10,000 of 725,394 rows).
    return (
        drawn.sort_by([("hash", "ascending"), ("text", "ascending")])
        .select(SCHEMA.names)
        .cast(SCHEMA)
    )


def _splitter(recipe: Recipe) -> Splitter | None:
    if recipe.level != "word" or recipe.corpus.keep_raw:
        return None
    return _whole_word if recipe.corpus.is_list else word_splitter(recipe.language)


def _whole_word(text: str) -> list[str]:
    return [text] if is_word(text) else []


def _check_enough(
    connection: duckdb.DuckDBPyConnection, recipe: Recipe, corpus: StageRecord, available: int
) -> None:
    size, batch = recipe.sample.size, recipe.tuning.batch_size
    if available >= size:
        return
    unit = "words" if recipe.level == "word" else "strings"
    origin = f"the corpus in {corpus.folder}"
    if unit == "words" and recipe.sample.min_count > 1:
        origin = f"{origin}, of words with at least {recipe.sample.min_count} occurrences,"
    remedy = "add text, or reject less of it (recipe's [corpus])"
    if available == 0:
        raise SampleError(f"{origin} has no {unit}: {remedy}")
    if available == 1:
        [(text,)] = connection.execute("SELECT text FROM strings").fetchall()
        raise SampleError(
            f"{origin} has only one string ({text[:60]!r}), and tuning needs different ones: "
            f"{remedy}"
        )
    if available < batch:
        raise SampleError(
            f"{origin} has {available} different {unit}, fewer than one batch of {batch}: "
            f"{remedy}, or set tuning.batch_size and sample.size to {available} or less"
        )
    raise SampleError(
        f"{origin} has {available} different {unit}, and sample.size is {size}: {remedy}, or "
        f"set sample.size to {available} or less"
    )


def _counts(table: pa.Table, width: int) -> dict[str, Any]:
    sources = sorted(table["source"].value_counts().to_pylist(), key=lambda row: row["values"])
    lengths: dict[int, int] = {}
    for text in table["text"].to_pylist():
        low = len(text) // width * width
        lengths[low] = lengths.get(low, 0) + 1
    return {
        "strings": table.num_rows,
        "by_source": {row["values"]: row["counts"] for row in sources},
        "lengths": [[low, n] for low, n in sorted(lengths.items())],
    }
