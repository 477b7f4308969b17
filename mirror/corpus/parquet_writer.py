"""Parquet tables in parts: equal rows give equal bytes, in batches of any size."""

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
"""Rows per part: about half a gigabyte of sentences."""

SENTENCES = pa.schema(
    [
        ("text", pa.string()),
        ("source", pa.string()),
        ("document", pa.int64()),
        ("position", pa.int32()),
        ("count", pa.int64()),
    ]
)
TITLES = pa.schema([("document", pa.int64()), ("title", pa.string()), ("body", pa.string())])
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
    """Writer of `part-00000.parquet` and so on; at least one part, even without rows."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Make the folder."""
        folder.mkdir(parents=True)
        self._folder, self._schema = folder, schema
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []
        self._pending = 0
        self._file: Any = None
        self._parts = self._in_part = 0

    def __enter__(self) -> Self:
        """Open the first part."""
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the remaining rows, unless an error occurred."""
        try:
            if kind is None:
                self._pack()
                while self._pending:
                    self._write_group()
        finally:
            self._file.close()

    def add(self, *row: Any) -> None:
        """Add a row, its values in the schema's order."""
        self._rows.append(row)
        if len(self._rows) >= BUFFER_ROWS:
            self._pack()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add a batch of rows."""
        self._pack()
        self._append(batch)

    def add_table(self, table: pa.Table) -> None:
        """Add all rows of a table."""
        for batch in table.to_batches():
            self.add_batch(batch)

    def _pack(self) -> None:
        """Convert rows to Arrow, which takes a fraction of the memory."""
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._rows.clear()
            self._append(pa.record_batch(columns, schema=self._schema))

    def _append(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._pending += batch.num_rows
        while self._pending >= ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        """Write a row group, or all rows if they are fewer."""
        if self._in_part >= PART_ROWS:
            self._file.close()
            self._open()
        pending = pa.Table.from_batches(self._batches, self._schema)
        group, rest = pending.slice(0, ROW_GROUP), pending.slice(ROW_GROUP)
        self._file.write_table(group.combine_chunks(), ROW_GROUP)
        self._in_part += group.num_rows
        self._batches, self._pending = rest.to_batches(), rest.num_rows

    def _open(self) -> None:
        path = self._folder / f"part-{self._parts:05}.parquet"
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._parts, self._in_part = self._parts + 1, 0


def read_batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all parts in order, in batches."""
    for part in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):  # all groups at once would stay in memory
                yield from file.iter_batches(BUFFER_ROWS, row_groups=[group])


def count_rows(folder: Path) -> int:
    """Return the number of rows of all parts."""
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("part-*.parquet"))
