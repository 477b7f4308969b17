"""The strings that an encoder is tuned on, drawn from a corpus.

Strings come in the order of a hash of seed and text, which no library's version, number of threads
or layout of files can change; a smaller sample is therefore part of every larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.duckdb_connection import MEMORY_LIMIT, connect, exact_names
from mirror.errors import SampleError, StoreError
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
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
FROM read_parquet($parts, hive_partitioning = false) GROUP BY text
"""
# A line's second and later occurrences have hashes of their own.
_ALL_LINES = """
CREATE TEMP TABLE strings AS
WITH numbered AS (
    SELECT *, row_number() OVER (
        PARTITION BY text ORDER BY document, position, source, count
    ) AS nth
    FROM read_parquet($parts, hive_partitioning = false)
)
SELECT text, source, document, count,
       md5($seed || ':' || text || CASE nth WHEN 1 THEN '' ELSE ':' || nth END) AS hash
FROM numbered
"""
# A word belongs to the source that has it most often; it comes from no one document.
_ALL_WORDS = """
CREATE TEMP TABLE strings AS
WITH by_source AS (SELECT text, source, sum(count) AS count FROM tallies GROUP BY text, source)
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


@dataclass(frozen=True)
class SampleSpec:
    """What is drawn: a recipe's part in a sample."""

    size: int
    seed: int
    stratify_by_source: bool
    min_count: int
    split: Splitter | None
    """How a text falls into words; nothing where whole strings are drawn."""
    repeats: bool = False
    """Whether equal strings are drawn as often as the corpus has them."""


def check_sampling(recipe: Recipe) -> None:
    """Whether the recipe's text can be cut into what is sampled; takes no time.

    Raises:
        InputError: words of the recipe's language need an extra that is not installed, or are not
            known here.
    """
    if recipe.level == "word" and not _is_list(recipe):
        check_words(recipe.language)


def sample_stage(recipe: Recipe, corpus: StageRecord) -> Stage:
    """The stage that draws a recipe's strings.

    DuckDB's version is no part of it: it changes nothing, since the order is ours.

    Raises:
        InputError: words of the recipe's language need an extra that is not installed.
    """
    section = {**section_content(recipe.sample), "level": recipe.level}
    section["keep_raw"] = recipe.corpus.keep_raw
    libraries: tuple[str, ...] = ("pyarrow",)
    if recipe.level == "word":
        section |= {"language": recipe.language, "listed": _is_list(recipe)}
        libraries += ("regex",) if _is_list(recipe) else word_libraries(recipe.language)
    else:
        del section["min_count"]
    return Stage("sample", "sampling.sample", {"corpus": corpus.digest}, section, libraries)


def sample_strings(
    recipe: Recipe, corpus: StageRecord, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Draws the recipe's strings from the corpus, or finds them drawn.

    The folder holds `strings.parquet` (text, source, document, count) in hash order: `count` is
    how often the corpus has the string or word, `document` is null for words.  Where the corpus is
    `keep_raw`, a line stands as often as it comes.

    Raises:
        SampleError: the corpus does not hold as many different strings as the recipe asks for.
        InputError: words of the recipe's language need an extra that is not installed.
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        draw = _draw_of(recipe)
        with connect(work) as engine:
            try:
                available = build_candidates(engine, corpus.path, draw, on_progress)
                _check_enough(engine, recipe, corpus, available)
                table = draw_sample(engine, draw)
            except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
                raise StoreError(
                    f"the corpus in {corpus.folder} could not be sampled with {MEMORY_LIMIT} of "
                    f"memory and {work} for the rest ({error}): free some space and run again"
                ) from error
        pq.write_table(table, out / "strings.parquet", ROW_GROUP, compression="zstd")
        on_progress(ProgressEvent("sample", table.num_rows, table.num_rows, "strings", "drawn"))
        return {"available": available, **_counts(table, 1 if recipe.level == "word" else 10)}

    return store.make(sample_stage(recipe, corpus), write)


def build_candidates(
    engine: duckdb.DuckDBPyConnection,
    corpus: Path,
    draw: SampleSpec,
    on_progress: OnProgress = no_progress,
) -> int:
    """Makes the table `strings` of all strings or words, each once unless the draw repeats them.

    Returns:
        How many there are.
    """
    parts = sorted((corpus / "sentences").glob("part-*.parquet"))
    if not parts:
        raise SampleError(f"no strings in {corpus}: check the recipe's [corpus]")
    seed = str(draw.seed)
    if draw.split is None:
        names = exact_names(parts)
        query = _ALL_LINES if draw.repeats else _ALL_STRINGS
        engine.execute(query, {"seed": seed, "parts": names})
    else:
        count_words(engine, parts, draw.split, on_progress)
        engine.execute(_ALL_WORDS, {"seed": seed, "min_count": draw.min_count})
    [(available,)] = engine.execute("SELECT count(*) FROM strings").fetchall()
    return int(available)


def draw_sample(engine: duckdb.DuckDBPyConnection, draw: SampleSpec) -> pa.Table:
    """The sample, in hash order, from the table `strings`.

    With `stratify_by_source`, sources take turns: each gives equally many while it has any left.
    """
    order = _BY_HASH if draw.split is None else _BY_COUNT
    turn = (
        f"row_number() OVER (PARTITION BY source ORDER BY {order})"
        if draw.stratify_by_source
        else "0"
    )
    query = _DRAWN.format(turn=turn, order=order)
    drawn = engine.sql(query, params={"size": draw.size}).to_arrow_table()
    # Sorted here: without preserve_insertion_order, DuckDB 2.0 may hand Arrow an ordered result's
    # pieces in any order (2 threads, 10,000 of 725,394 rows).
    return (
        drawn.sort_by([("hash", "ascending"), ("text", "ascending")])
        .select(SCHEMA.names)
        .cast(SCHEMA)
    )


def _is_list(recipe: Recipe) -> bool:
    return recipe.corpus.is_list


def _draw_of(recipe: Recipe) -> SampleSpec:
    sample, split, repeats = recipe.sample, None, recipe.corpus.keep_raw
    if recipe.level == "word" and not repeats:
        split = _whole_word if _is_list(recipe) else word_splitter(recipe.language)
    return SampleSpec(
        sample.size, sample.seed, sample.stratify_by_source, sample.min_count, split, repeats
    )


def _whole_word(text: str) -> list[str]:
    return [text] if is_word(text) else []


def _check_enough(
    engine: duckdb.DuckDBPyConnection, recipe: Recipe, corpus: StageRecord, available: int
) -> None:
    size, batch = recipe.sample.size, recipe.tuning.batch_size
    if available >= size:
        return
    what = "words" if recipe.level == "word" else "strings"
    place = f"the corpus in {corpus.folder}"
    if what == "words" and recipe.sample.min_count > 1:
        place = f"{place}, of words seen at least {recipe.sample.min_count} times,"
    more = "give it more text, or reject less of it (recipe's [corpus])"
    if available == 0:
        raise SampleError(f"{place} has no {what}: {more}")
    if available == 1:
        [(text,)] = engine.execute("SELECT text FROM strings").fetchall()
        raise SampleError(
            f"{place} is one string only, over and over ({text[:60]!r}): there is nothing to tell "
            f"apart; {more}"
        )
    if available < batch:
        raise SampleError(
            f"{place} has {available} different {what}, fewer than one batch of {batch}: {more}, "
            f"or set tuning.batch_size and sample.size to {available} or less"
        )
    raise SampleError(
        f"{place} has {available} different {what} where sample.size asks for {size}: {more}, or "
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
