"""Word counts of a corpus, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.progress import OnProgress, ProgressEvent
from mirror.sampling.words import Splitter

BATCH_ROWS = 8_192
FLUSH_WORDS = 500_000
"""Most different words in memory before they are moved to DuckDB, which spills to disk."""

_SCHEMA = pa.schema([("text", pa.string()), ("source", pa.string()), ("count", pa.int64())])


def count_words(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[Path],
    split: Splitter,
    on_progress: OnProgress,
) -> None:
    """Create the table `word_counts` (text, source, count): frequency of each word in each source.

    A row of the corpus counts `count` times.  The same word and source may have several rows, in
    any order.
    """
    connection.execute("CREATE TEMP TABLE word_counts (text VARCHAR, source VARCHAR, count BIGINT)")
    total = sum(pq.read_metadata(part).num_rows for part in parts)
    word_counts: dict[str, Counter[str]] = {}
    done = 0
    for batch in _batches(parts):
        _count_batch(batch, split, word_counts)
        done += batch.num_rows
        on_progress(ProgressEvent("sample", done, total, "strings", "counting words"))
        if sum(map(len, word_counts.values())) > FLUSH_WORDS:
            _flush(connection, word_counts)
    _flush(connection, word_counts)


def _batches(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):  # all groups at once would stay in memory
                yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=_SCHEMA.names)


def _count_batch(
    batch: pa.RecordBatch, split: Splitter, word_counts: dict[str, Counter[str]]
) -> None:
    rows = zip(*(batch.column(name).to_pylist() for name in _SCHEMA.names), strict=True)
    for text, source, count in rows:
        counter = word_counts.setdefault(source, Counter())
        if count == 1:
            counter.update(split(text))
        else:
            for word in split(text):
                counter[word] += count


def _flush(connection: duckdb.DuckDBPyConnection, word_counts: dict[str, Counter[str]]) -> None:
    for source, counter in word_counts.items():
        columns = [list(counter.keys()), [source] * len(counter), list(counter.values())]
        connection.register("batch_counts", pa.table(columns, schema=_SCHEMA))
        connection.execute("INSERT INTO word_counts SELECT text, source, count FROM batch_counts")
        connection.unregister("batch_counts")
    word_counts.clear()
