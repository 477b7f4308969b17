"""Tables on disk, written a batch at a time: equal rows give equal bytes, however they came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

BUFFER_ROWS = 1 << 14
ROW_GROUP = 1 << 16
PART_ROWS = 1 << 22
"""Rows of a part: about half a gigabyte of sentences."""

SENTENCES = pa.schema(
    [
        ("text", pa.string()),
        ("source", pa.string()),
        ("document", pa.int64()),
        ("position", pa.int32()),
        ("count", pa.int64()),
    ]
)
PASSAGES = pa.schema(
    [
        ("document", pa.int64()),
        ("source", pa.string()),
        ("query", pa.string()),
        ("answer", pa.string()),
    ]
)
REJECTS = pa.schema(
    [
        ("text", pa.string()),
        ("source", pa.string()),
        ("document", pa.int64()),
        ("reason", pa.string()),
    ]
)
CANDIDATES = SENTENCES.append(pa.field("reason", pa.string()))


class TableWriter:
    """Writes rows to `part-00000.parquet` and so on in a folder; at least one part, even empty."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Makes the folder."""
        folder.mkdir(parents=True)
        self._folder, self._schema = folder, schema
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0
        self._file: Any = None
        self._parts = self._in_part = 0

    def __enter__(self) -> Self:
        """Opens the first part."""
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes what is left, unless something failed."""
        try:
            if kind is None:
                self._pack()
                while self._waiting:
                    self._write_group()
        finally:
            self._file.close()

    def add(self, *row: Any) -> None:
        """Takes a row, in the schema's order."""
        self._rows.append(row)
        if len(self._rows) >= BUFFER_ROWS:
            self._pack()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Takes many rows."""
        self._pack()
        self._take(batch)

    def add_table(self, table: pa.Table) -> None:
        """Takes all rows of a table."""
        for batch in table.to_batches():
            self.add_batch(batch)

    def _pack(self) -> None:
        """Turns Python's rows into Arrow's, which take a fraction of the memory."""
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._rows.clear()
            self._take(pa.record_batch(columns, schema=self._schema))

    def _take(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._waiting += batch.num_rows
        while self._waiting >= ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        """Writes as many rows as a group holds, or all."""
        if self._in_part >= PART_ROWS:
            self._file.close()
            self._open()
        waiting = pa.Table.from_batches(self._batches, self._schema)
        group, rest = waiting.slice(0, ROW_GROUP), waiting.slice(ROW_GROUP)
        self._file.write_table(group.combine_chunks(), ROW_GROUP)
        self._in_part += group.num_rows
        self._batches, self._waiting = rest.to_batches(), rest.num_rows

    def _open(self) -> None:
        place = self._folder / f"part-{self._parts:05}.parquet"
        self._file = pq.ParquetWriter(place, self._schema, compression="zstd")
        self._parts, self._in_part = self._parts + 1, 0


def read_batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """The rows of all parts in order, many at a time."""
    for part in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):  # all at once, it would keep what it has read
                yield from file.iter_batches(BUFFER_ROWS, row_groups=[group])


def read_rows(folder: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of all parts in order."""
    for batch in read_batches(folder):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def count_rows(folder: Path) -> int:
    """Rows of all parts, as their files say."""
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("part-*.parquet"))
