"""Documents of one file: lines of text, JSON objects, rows of CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mirror.corpus.input_files import InputFile
from mirror.corpus.sources.files import FileFormatSection
from mirror.corpus.text_lines import check_head, read_lines
from mirror.documents import MAX_BYTES, NO_TEXT, OVERSIZED, Document
from mirror.errors import CorpusError

NOT_JSON = "not JSON"
MISFIT = "not as many cells as columns"
BATCH_ROWS = 512
DELIMITERS = {"csv": ",", "tsv": "\t"}


def read_place(place: InputFile, section: FileFormatSection) -> Iterator[Document]:
    """The documents of a file in order; rows that hold none come with their fault.

    Raises:
        CorpusError: the file cannot be read, or lacks the column.
    """
    match place.format:
        case "text":
            return _read_text(place, section)
        case "jsonl":
            return _read_jsonl(place, section)
        case "parquet":
            return _read_parquet(place, section)
        case _:
            return _read_csv(place, section)


def check_place(place: InputFile, section: FileFormatSection) -> None:
    """Looks at a file's first bytes and columns.

    Raises:
        CorpusError: the file cannot be read, is binary, in another encoding, or lacks the column.
    """
    if place.format == "parquet":
        with _open_parquet(place, section):
            return
    first = check_head(place, section.encoding)
    if place.format in DELIMITERS and first:
        _columns(place, section, next(csv.reader([first], delimiter=DELIMITERS[place.format])))
    elif place.format == "jsonl" and first.endswith("}"):
        _json_row(first, place, section)


def _read_text(place: InputFile, section: FileFormatSection) -> Iterator[Document]:
    for line in read_lines(place, section.encoding):
        if line.oversized:
            yield _fault(place, f"line {line.number}", OVERSIZED)
        else:
            yield Document(line.text, place.name)


def _read_jsonl(place: InputFile, section: FileFormatSection) -> Iterator[Document]:
    seen: set[str] = set()
    found = False
    for line in read_lines(place, section.encoding):
        where = f"line {line.number}"
        if line.oversized:
            yield _fault(place, where, OVERSIZED)
            continue
        try:
            row = json.loads(line.text)
        except (ValueError, RecursionError):
            yield _fault(place, f"{where}: {line.text[:150]}", NOT_JSON)
            continue
        text = row.get(section.text_column) if isinstance(row, dict) else None
        if not isinstance(text, str):
            seen |= row.keys() if isinstance(row, dict) and len(seen) < 100 else set()
            yield _fault(place, f"{where}: {line.text[:150]}", NO_TEXT)
            continue
        found = True
        yield Document(text, _source(row, place, section))
    if seen and not found:
        raise _no_column(place, section.text_column, sorted(seen))


def _json_row(first: str, place: InputFile, section: FileFormatSection) -> None:
    try:
        row = json.loads(first)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"the first line of {place.path} is not JSON ({error}): set corpus.format to what the "
            "file is, or mend it"
        ) from error
    for column in filter(None, (section.text_column, section.source_column)):
        if column not in row:
            raise _no_column(place, column, sorted(row))


def _read_csv(place: InputFile, section: FileFormatSection) -> Iterator[Document]:
    numbers = [0]

    def lines() -> Iterator[str]:
        for line in read_lines(place, section.encoding):
            numbers[0] = line.number
            if line.oversized:
                raise csv.Error(f"it is {OVERSIZED}")
            yield f"{line.text}\n"

    csv.field_size_limit(MAX_BYTES)
    rows = csv.reader(lines(), delimiter=DELIMITERS[place.format])
    try:
        header = next(rows, None)
        if header is None:
            return
        text_at, source_at = _columns(place, section, header)
        for row in rows:
            if len(row) != len(header):
                yield _fault(
                    place,
                    f"line {numbers[0]}: {','.join(row)[:150]}",
                    MISFIT,
                )
            else:
                yield Document(row[text_at], place.name if source_at is None else row[source_at])
    except csv.Error as error:
        raise CorpusError(
            f"line {numbers[0]} of {place.path} cannot be read as {place.format} ({error}): look "
            "for a quote that is not closed before it, or set corpus.format"
        ) from error


def _columns(
    place: InputFile, section: FileFormatSection, header: list[str]
) -> tuple[int, int | None]:
    names = [name.strip().removeprefix("\ufeff") for name in header]
    for column in filter(None, (section.text_column, section.source_column)):
        if column not in names:
            raise _no_column(place, column, names)
    source = section.source_column
    return names.index(section.text_column), None if source is None else names.index(source)


def _read_parquet(place: InputFile, section: FileFormatSection) -> Iterator[Document]:
    text, source = section.text_column, section.source_column
    with _open_parquet(place, section) as file:
        number = 0
        names = list(dict.fromkeys(filter(None, (text, source))))
        try:
            for group in range(file.num_row_groups):  # all at once, it would keep what it has read
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names):
                    yield from _rows(batch, number, place, section)
                    number += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise CorpusError(
                f"{place.path} is damaged after row {number} ({error}): replace it"
            ) from error


def _rows(
    batch: pa.RecordBatch, before: int, place: InputFile, section: FileFormatSection
) -> Iterator[Document]:
    column = batch.column(section.text_column)
    fits = pc.less_equal(pc.binary_length(column), MAX_BYTES)
    texts = pc.if_else(fits, column, None).to_pylist()
    sources: list[Any] = [None] * len(texts)
    if section.source_column:
        sources = batch.column(section.source_column).to_pylist()
    for number, (text, fit, named) in enumerate(zip(texts, fits.to_pylist(), sources, strict=True)):
        if text is None:
            fault = OVERSIZED if fit is False else NO_TEXT
            yield _fault(place, f"row {before + number + 1}", fault)
        else:
            yield Document(text, place.name if named is None else str(named))


def _open_parquet(place: InputFile, section: FileFormatSection) -> Any:
    if place.compression:
        raise CorpusError(
            f"{place.path} is Parquet inside {place.compression}: unpack it, Parquet packs itself"
        )
    try:
        file = pq.ParquetFile(place.files.open_input_file(place.path), buffer_size=1 << 20)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(
            f"{place.path} cannot be read as Parquet ({error}): replace it, or set corpus.format"
        ) from error
    names = file.schema_arrow.names
    for column in filter(None, (section.text_column, section.source_column)):
        if column not in names:
            raise _no_column(place, column, names)
    kind = file.schema_arrow.field(section.text_column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise CorpusError(
            f"column {section.text_column!r} of {place.path} holds {kind}, not text: set "
            "corpus.text_column to another"
        )
    return file


def _source(row: dict[str, Any], place: InputFile, section: FileFormatSection) -> str:
    named = row.get(section.source_column) if section.source_column else None
    return place.name if named is None else str(named)


def _fault(place: InputFile, where: str, fault: str) -> Document:
    return Document(where, place.name, fault=fault)


def _no_column(place: InputFile, column: str, names: list[str]) -> CorpusError:
    known = ", ".join(names[:50]) or "none"
    return CorpusError(
        f"{place.path} has no column {column!r}: set corpus.text_column or corpus.source_column to "
        f"one that it has ({known})"
    )
