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
from mirror.corpus.reasons import MISFIT, NOT_JSON
from mirror.corpus.sources.files import FileFormatSection
from mirror.corpus.text_lines import read_lines
from mirror.documents import MAX_BYTES, NO_TEXT, OVERSIZED, Document, row_document
from mirror.errors import CorpusError

BATCH_ROWS = 512
DELIMITERS = {"csv": ",", "tsv": "\t"}


def read_file(file: InputFile, section: FileFormatSection) -> Iterator[Document]:
    """Yield the documents of a file in order; unreadable rows have a `fault`.

    Raises:
        CorpusError: the file cannot be read, or lacks the column.
    """
    match file.format:
        case "text":
            return _read_text(file, section)
        case "jsonl":
            return _read_jsonl(file, section)
        case "parquet":
            return _read_parquet(file, section)
        case _:
            return _read_csv(file, section)


def check_file(file: InputFile, section: FileFormatSection, first: str) -> None:
    """Check a file's columns by its first line.

    Raises:
        CorpusError: the file is Parquet that cannot be read, is in another form, or lacks a column.
    """
    if file.format == "parquet":
        with _open_parquet(file, section):
            return
    if file.format in DELIMITERS and first:
        _columns(file, section, next(csv.reader([first], delimiter=DELIMITERS[file.format])))
    elif file.format == "jsonl" and (first.startswith("[") or first.strip() == "{"):
        raise CorpusError(
            f"{file.path} is one JSON value, not one object a line: rewrite it, for example with "
            "jq -c '.[]'"
        )
    elif file.format == "jsonl" and first.endswith("}"):
        _json_row(first, file, section)


def _read_text(file: InputFile, section: FileFormatSection) -> Iterator[Document]:
    for line in read_lines(file, section.encoding):
        if line.oversized:
            yield _fault(file, f"line {line.number}", OVERSIZED)
        else:
            yield Document(line.text, file.name)


def _read_jsonl(file: InputFile, section: FileFormatSection) -> Iterator[Document]:
    seen: set[str] = set()
    has_text = False
    for line in read_lines(file, section.encoding):
        where = f"line {line.number}"
        if line.oversized:
            yield _fault(file, where, OVERSIZED)
            continue
        try:
            row = json.loads(line.text)
        except (ValueError, RecursionError):
            yield _fault(file, f"{where}: {line.text[:150]}", NOT_JSON)
            continue
        text = row.get(section.text_column) if isinstance(row, dict) else None
        if not isinstance(text, str):
            seen |= row.keys() if isinstance(row, dict) and len(seen) < 100 else set()
            yield _fault(file, f"{where}: {line.text[:150]}", NO_TEXT)
            continue
        has_text = True
        title = row.get(section.title_column or "")
        yield row_document(text, _source(row, file, section), title, section.is_list)
    if seen and not has_text:
        raise _no_column(file, section.text_column, sorted(seen))


def _json_row(first: str, file: InputFile, section: FileFormatSection) -> None:
    try:
        row = json.loads(first)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"the first line of {file.path} is not JSON ({error}): set corpus.format to the "
            "file's format, or correct the line"
        ) from error
    for column in section.columns:
        if column not in row:
            raise _no_column(file, column, sorted(row))


def _read_csv(file: InputFile, section: FileFormatSection) -> Iterator[Document]:
    numbers = [0]

    def lines() -> Iterator[str]:
        for line in read_lines(file, section.encoding):
            numbers[0] = line.number
            if line.oversized:
                raise csv.Error(f"it is {OVERSIZED}")
            yield f"{line.text}\n"

    csv.field_size_limit(MAX_BYTES)
    rows = csv.reader(lines(), delimiter=DELIMITERS[file.format])
    try:
        header = next(rows, None)
        if header is None:
            return
        text_at, source_at, title_at = _columns(file, section, header)
        for row in rows:
            if len(row) != len(header):
                yield _fault(file, f"line {numbers[0]}: {','.join(row)[:150]}", MISFIT)
            else:
                source = file.name if source_at is None else row[source_at]
                title = "" if title_at is None else row[title_at]
                yield row_document(row[text_at], source, title, section.is_list)
    except csv.Error as error:
        raise CorpusError(
            f"line {numbers[0]} of {file.path} cannot be read as {file.format} ({error}): look "
            "for a quote that is not closed before it, or set corpus.format"
        ) from error


def _columns(
    file: InputFile, section: FileFormatSection, header: list[str]
) -> tuple[int, int | None, int | None]:
    names = [name.strip().removeprefix("\ufeff") for name in header]
    mark = next((each for each in ";\t|" if each in names[0]), "") if len(names) == 1 else ""
    if mark and section.text_column not in names:
        raise CorpusError(
            f"the cells of {file.path} are separated by {mark!r}, not by "
            f"{DELIMITERS[file.format]!r}: "
            + ("set corpus.format to 'tsv'" if mark == "\t" else "save it with commas")
        )
    for column in section.columns:
        if column not in names:
            raise _no_column(file, column, names)
    source, title = (
        None if column is None else names.index(column)
        for column in (section.source_column, section.title_column)
    )
    return names.index(section.text_column), source, title


def _read_parquet(file: InputFile, section: FileFormatSection) -> Iterator[Document]:
    with _open_parquet(file, section) as table:
        number = 0
        names = section.columns
        try:
            for group in range(table.num_row_groups):  # all groups at once would stay in memory
                for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=names):
                    yield from _rows(batch, number, file, section)
                    number += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise CorpusError(
                f"{file.path} is damaged after row {number} ({error}): replace it"
            ) from error


def _rows(
    batch: pa.RecordBatch, before: int, file: InputFile, section: FileFormatSection
) -> Iterator[Document]:
    column = batch.column(section.text_column)
    fits = pc.less_equal(pc.binary_length(column), MAX_BYTES)
    texts = pc.if_else(fits, column, None).to_pylist()
    sources, titles = (
        batch.column(name).to_pylist() if name else [None] * len(texts)
        for name in (section.source_column, section.title_column)
    )
    rows = zip(texts, fits.to_pylist(), sources, titles, strict=True)
    for number, (text, fit, named, title) in enumerate(rows):
        if text is None:
            fault = OVERSIZED if fit is False else NO_TEXT
            yield _fault(file, f"row {before + number + 1}", fault)
        else:
            source = file.name if named is None else str(named)
            yield row_document(text, source, title, section.is_list)


def _open_parquet(file: InputFile, section: FileFormatSection) -> Any:
    if file.compression:
        raise CorpusError(
            f"{file.path} is Parquet inside {file.compression}: decompress it "
            "(Parquet compresses its own columns)"
        )
    try:
        table = pq.ParquetFile(file.filesystem.open_input_file(file.path), buffer_size=1 << 20)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(
            f"{file.path} cannot be read as Parquet ({error}): replace it, or set corpus.format"
        ) from error
    names = table.schema_arrow.names
    for column in section.columns:
        if column not in names:
            raise _no_column(file, column, names)
    kind = table.schema_arrow.field(section.text_column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise CorpusError(
            f"column {section.text_column!r} of {file.path} has type {kind}, not text: set "
            "corpus.text_column to another"
        )
    return table


def _source(row: dict[str, Any], file: InputFile, section: FileFormatSection) -> str:
    named = row.get(section.source_column) if section.source_column else None
    return file.name if named is None else str(named)


def _fault(file: InputFile, where: str, fault: str) -> Document:
    return Document(where, file.name, fault=fault)


def _no_column(file: InputFile, column: str, names: list[str]) -> CorpusError:
    known = ", ".join(names[:50]) or "none"
    return CorpusError(
        f"{file.path} has no column {column!r}: set text_column, source_column or title_column in "
        f"[corpus] to one that it has ({known})"
    )
