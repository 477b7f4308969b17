"""Labelled pairs: texts with the same meaning, positives of the tuning loss.

The official code reads `text||text` lines and silently skips malformed ones
(docs/official-code.md, fault 9).  Here a malformed row is an error, and useless pairs are counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.corpus.cleaning import BROKEN, clean_line, clean_text
from mirror.corpus.file_formats import COMPRESSIONS, known_formats
from mirror.corpus.input_files import (
    InputFile,
    file_facts,
    find_input_files,
    input_digests,
)
from mirror.corpus.text_lines import Line, read_lines
from mirror.errors import CorpusError, RecipeError, SampleError
from mirror.paths import local_path
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import PairsSection, Recipe
from mirror.store import INPUT_FILES, Stage, StageRecord, Store, section_content

EMPTY = "empty text"
EQUAL = "equal texts"
DUPLICATE = "duplicate"
BROKEN_TEXT = "broken characters"
ROW_GROUP = 1 << 16
SCHEMA = pa.schema([("first", pa.string()), ("second", pa.string())])
ENDINGS = (".tsv", ".jsonl", ".ndjson")
_OTHER_REMEDY = re.compile(r"set corpus\.(?:encoding|format).*", re.DOTALL)
SHOWN = 100
"""Characters of a faulty row that an error shows."""


@dataclass(frozen=True)
class ReadPairs:
    """Pairs of some files, and counts of those skipped."""

    pairs: tuple[tuple[str, str], ...]
    """Each pair once, regardless of the order of its texts; in the order of the files."""
    skipped: Mapping[str, int]
    """Number of skipped pairs by reason."""


def read_pairs(section: PairsSection) -> ReadPairs:
    """Return all pairs of a recipe's files.

    TSV is read without quoting: every TAB separates two cells.  Files may be compressed with gzip
    or zstd.  Texts are repaired like those of a corpus.

    Raises:
        CorpusError: a file is missing, unreadable, of another format or encoding, or lacks a
            column; or a row is malformed (the error names its line); or no pair is left.
        ServiceError: an object store does not answer.
    """
    pairs: dict[tuple[str, str], None] = {}
    skipped: Counter[str] = Counter()
    for file in _find_files(section):
        for first, second in _rows(file, section):
            if reason := _fault(first, second, pairs):
                skipped[reason] += 1
            else:
                pairs[first, second] = None
    if not pairs:
        why = ", ".join(f"{n} with {reason}" for reason, n in skipped.most_common())
        raise CorpusError(
            f"no pair in {', '.join(section.paths)} (pairs.paths) is left of "
            f"{skipped.total()} ({why or 'the files are empty'}): check pairs.first and "
            "pairs.second, or name other files"
        )
    return ReadPairs(tuple(pairs), dict(sorted(skipped.items())))


def check_pairs(recipe: Recipe) -> None:
    """Check files, columns and first rows of the recipe's pairs, if it has any.

    Raises:
        CorpusError: a file is missing or unreadable, lacks a column, or its first row is malformed.
        ServiceError: an object store does not answer.
    """
    if recipe.pairs is not None:
        for file in _find_files(recipe.pairs):
            next(_rows(file, recipe.pairs), None)


def pairs_stage(recipe: Recipe) -> Stage:
    """Return the stage that collects a recipe's pairs; local files are read for their digests.

    Raises:
        RecipeError: the recipe has no `[pairs]`.
        CorpusError: a file is missing.
    """
    section = _section(recipe)
    with _errors_about_pairs():
        digests = input_digests(_find_files(section))
    content = section_content(section)
    del content["with_strings"]  # a setting of tuning
    return Stage("pairs", "corpus.labelled_pairs", digests, content, ("ftfy", "pyarrow", "regex"))


def gather_pairs(
    recipe: Recipe, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Collect the recipe's pairs, or reuse them.

    The folder holds `pairs.parquet` (first, second), in the order of the files.

    Raises:
        RecipeError: the recipe has no `[pairs]`.
        CorpusError: as `read_pairs`.
        SampleError: there are fewer pairs than a batch takes, and no strings to add.
        StoreError: the folder cannot be written.
    """
    section, batch = _section(recipe), recipe.tuning.batch_size

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        result = read_pairs(section)
        count = len(result.pairs)
        first, second = zip(*result.pairs, strict=True)
        table = pa.table({"first": first, "second": second}, SCHEMA)
        pq.write_table(table, out / "pairs.parquet", ROW_GROUP, compression="zstd")
        on_progress(ProgressEvent("pairs", count, count, "pairs", "collected"))
        return {
            "pairs": count,
            "skipped": dict(result.skipped),
            INPUT_FILES: file_facts(_find_files(section)),
        }

    record = store.make(pairs_stage(recipe), write)
    if not section.with_strings and record.counts["pairs"] < batch:
        raise SampleError(
            f"{', '.join(section.paths)} (pairs.paths) hold {record.counts['pairs']} pairs, fewer "
            f"than one batch of {batch}: give more, lower tuning.batch_size, or set "
            "pairs.with_strings to true"
        )
    return record


def _section(recipe: Recipe) -> PairsSection:
    if recipe.pairs is None:
        raise RecipeError(f"recipe {recipe.name} has no [pairs]: add the section")
    return recipe.pairs


def _find_files(section: PairsSection) -> list[InputFile]:
    for path in section.paths:
        name = PurePosixPath(path.lower())
        bare = name.with_suffix("") if name.suffix in COMPRESSIONS else name
        if local_path(path).is_file() and bare.suffix not in ENDINGS:
            raise CorpusError(_not_pairs(path))
    with _errors_about_pairs():
        files = find_input_files(section.paths)
    files = [file for file in files if known_formats()[file.format].has_rows]
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


def _fault(first: str, second: str, seen: Mapping[tuple[str, str], None]) -> str:
    """Return why a pair is skipped; empty if it is not."""
    if not first or not second:
        return EMPTY
    if BROKEN in first + second:
        return BROKEN_TEXT
    if first == second:
        return EQUAL
    return DUPLICATE if (first, second) in seen or (second, first) in seen else ""


def _rows(file: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    read = _read_jsonl if file.format == "jsonl" else _read_tsv
    with _errors_about_pairs():
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
def _errors_about_pairs() -> Iterator[None]:
    """Name the settings of pairs in errors of the readers that corpora use too."""
    try:
        yield
    except CorpusError as error:
        message = _OTHER_REMEDY.sub("rewrite it in UTF-8", str(error))
        raise CorpusError(message.replace("corpus.paths", "pairs.paths")) from error
