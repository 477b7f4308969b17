"""Rows of files of labelled pairs: TSV and JSONL."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from mirror.corpus.cleaning import clean_line, clean_text
from mirror.corpus.file_formats import COMPRESSIONS, known_formats
from mirror.corpus.file_kinds import describe_left_out
from mirror.corpus.input_files import InputFile, search_files
from mirror.corpus.text_lines import Line, read_lines
from mirror.errors import CorpusError
from mirror.log_once import warn_once
from mirror.paths import local_path
from mirror.recipe import PairsSection

log = logging.getLogger(__name__)

ENDINGS = (".tsv", ".jsonl", ".ndjson")
_OTHER_FORMATS = re.compile(r"formats that are read: [^;]*")
_OTHER_REMEDY = re.compile(r"set corpus\.(?:encoding|format).*", re.DOTALL)
SHOWN = 100
"""Characters of a faulty row that an error shows."""


def find_pair_files(section: PairsSection) -> list[InputFile]:
    """Return the files that a recipe's `[pairs]` names.

    Raises:
        CorpusError: one is missing, or is no TSV or JSONL.
        ServiceError: an object store does not answer.
    """
    for path in section.paths:
        name = PurePosixPath(path.lower())
        bare = name.with_suffix("") if name.suffix in COMPRESSIONS else name
        if local_path(path).is_file() and bare.suffix not in ENDINGS:
            raise CorpusError(_not_pairs(path))
    with errors_about_pairs():
        found = search_files(section.paths)
    files = [file for file in found.files if known_formats()[file.format].has_rows]
    others = [file.name for file in found.files if file not in files] + list(found.left_out)
    if files and others:
        warn_once(log, f"{', '.join(section.paths)} (pairs.paths): {describe_left_out(others)}")
    if not files:
        raise CorpusError(_not_pairs(section.paths[0]))
    for file in files:
        if file.format not in ("tsv", "jsonl"):
            raise CorpusError(_not_pairs(file.path))
    return files


def _not_pairs(path: str) -> str:
    return (
        f"{path} (pairs.paths) has another ending than a file of pairs: name files that end in "
        f"{' '.join(ENDINGS)}, optionally with {' or '.join(COMPRESSIONS)} after it"
    )


def pair_rows(file: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    """Yield both texts of each row of a file, repaired.

    Raises:
        CorpusError: the file cannot be read, lacks a column, or a row is malformed.
    """
    read = _read_jsonl if file.format == "jsonl" else _read_tsv
    with errors_about_pairs():
        for first, second in read(file, section):
            yield clean_line(clean_text(first)), clean_line(clean_text(second))


def _read_tsv(file: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    columns: tuple[int, int] | None = None
    width = 0
    if isinstance(section.first, int) and isinstance(section.second, int):
        columns = (section.first, section.second)
    for line in read_lines(file, "utf-8"):
        cells = _text(line, file).split("\t")
        if columns is None:
            columns, width = _columns(cells, file, section), len(cells)
            continue
        if width and len(cells) != width:
            raise _malformed(line, file, f"{len(cells)} cells where the header has {width}")
        if max(columns) >= len(cells):
            raise _malformed(line, file, f"{len(cells)} cells, so none of number {max(columns)}")
        yield cells[columns[0]], cells[columns[1]]


def _columns(header: list[str], file: InputFile, section: PairsSection) -> tuple[int, int]:
    names = [name.strip() for name in header]
    for column in (section.first, section.second):
        if column not in names:
            raise CorpusError(
                f"{file.path} has no column {column!r}: set pairs.first and pairs.second to those "
                f"that it has ({', '.join(names)[:300]}), or to numbers from 0 if it has no header"
            )
    return names.index(str(section.first)), names.index(str(section.second))


def _read_jsonl(file: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    if isinstance(section.first, int):
        raise CorpusError(
            f"{file.path} is JSONL, whose columns have names: set pairs.first and pairs.second to "
            "names"
        )
    for line in read_lines(file, "utf-8"):
        try:
            row = json.loads(_text(line, file))
        except (ValueError, RecursionError) as error:
            raise _malformed(line, file, f"no JSON ({error})") from error
        if not isinstance(row, dict):
            raise _malformed(line, file, "no JSON object")
        first, second = (row.get(str(column)) for column in (section.first, section.second))
        if not isinstance(first, str) or not isinstance(second, str):
            raise _malformed(line, file, f"no text in {section.first!r} or in {section.second!r}")
        yield first, second


def _text(line: Line, file: InputFile) -> str:
    if line.oversized:
        raise _malformed(line, file, "more text than a row may have")
    return line.text


def _malformed(line: Line, file: InputFile, what: str) -> CorpusError:
    shown = f": {line.text[:SHOWN]!r}" if line.text else ""
    return CorpusError(
        f"line {line.number} of {file.path} (pairs.paths) has {what}{shown}: correct or remove it"
    )


@contextmanager
def errors_about_pairs() -> Iterator[None]:
    """Name the settings of pairs in errors of the readers that corpora use too."""
    try:
        yield
    except CorpusError as error:
        message = _OTHER_REMEDY.sub("rewrite it in UTF-8", str(error))
        message = _OTHER_FORMATS.sub(f"files of pairs end in {' '.join(ENDINGS)}", message)
        raise CorpusError(message.replace("corpus.paths", "pairs.paths")) from error
