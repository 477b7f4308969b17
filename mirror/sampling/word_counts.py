"""How often each word stands in a corpus, counted in bounded memory."""

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
"""Different words held in Python's memory before they go to DuckDB, which spills to disk."""

_TALLIES = pa.schema([("text", pa.string()), ("source", pa.string()), ("count", pa.int64())])


def count_words(
    engine: duckdb.DuckDBPyConnection,
    parts: Sequence[Path],
    split: Splitter,
    on_progress: OnProgress,
) -> None:
    """Makes the table `tallies` (text, source, count): how often each source has each word.

    A row of the corpus weighs by its `count`.  The same word and source may stand in several rows
    of the table; their order means nothing.
    """
    engine.execute("CREATE TEMP TABLE tallies (text VARCHAR, source VARCHAR, count BIGINT)")
    total = sum(pq.read_metadata(part).num_rows for part in parts)
    tallies: dict[str, Counter[str]] = {}
    done = 0
    for batch in _batches(parts):
        _tally(batch, split, tallies)
        done += batch.num_rows
        on_progress(ProgressEvent("sample", done, total, "strings", "counting words"))
        if sum(map(len, tallies.values())) > FLUSH_WORDS:
            _flush(engine, tallies)
    _flush(engine, tallies)


def _batches(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):  # all at once, it would keep what it has read
                yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=_TALLIES.names)


def _tally(batch: pa.RecordBatch, split: Splitter, tallies: dict[str, Counter[str]]) -> None:
    rows = zip(*(batch.column(name).to_pylist() for name in _TALLIES.names), strict=True)
    for text, source, count in rows:
        tally = tallies.setdefault(source, Counter())
        if count == 1:
            tally.update(split(text))
        else:
            for word in split(text):
                tally[word] += count


def _flush(engine: duckdb.DuckDBPyConnection, tallies: dict[str, Counter[str]]) -> None:
    for source, tally in tallies.items():
        columns = [list(tally.keys()), [source] * len(tally), list(tally.values())]
        engine.register("tally", pa.table(columns, schema=_TALLIES))
        engine.execute("INSERT INTO tallies SELECT text, source, count FROM tally")
        engine.unregister("tally")
    tallies.clear()
