"""Tables on disk, written a batch at a time: equal rows give equal bytes."""

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
        self._groups: list[pa.Table] = []
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
                self._write_group()
        finally:
            self._file.close()

    def add(self, *row: Any) -> None:
        """Takes a row, in the schema's order."""
        self._rows.append(row)
        if len(self._rows) >= BUFFER_ROWS:
            self._pack()
            if len(self._groups) * BUFFER_ROWS >= ROW_GROUP:
                self._write_group()

    def _pack(self) -> None:
        """Turns Python's rows into Arrow's, which take a fraction of the memory."""
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._groups.append(pa.table(columns, schema=self._schema))
            self._rows.clear()

    def _write_group(self) -> None:
        if not self._groups:
            return
        if self._in_part >= PART_ROWS:
            self._file.close()
            self._open()
        table = pa.concat_tables(self._groups).combine_chunks()
        self._file.write_table(table, ROW_GROUP)
        self._in_part += table.num_rows
        self._groups.clear()

    def _open(self) -> None:
        place = self._folder / f"part-{self._parts:05}.parquet"
        self._file = pq.ParquetWriter(place, self._schema, compression="zstd")
        self._parts, self._in_part = self._parts + 1, 0


def read_rows(folder: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of all parts in order."""
    for part in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(BUFFER_ROWS):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def count_rows(folder: Path) -> int:
    """Rows of all parts, as their files say."""
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("part-*.parquet"))
