"""Pairs of texts that mean the same, as somebody has labelled them: positives of the tuning loss.

The official code reads `text||text` lines and passes over those with another number of `||` without
a word (paper.md, part 3, no. 9); here a row that does not fit is an error, and a pair that teaches
nothing is counted.
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
from mirror.corpus.input_files import (
    COMPRESSIONS,
    InputFile,
    file_facts,
    find_places,
    place_digests,
)
from mirror.corpus.text_lines import Line, read_lines
from mirror.errors import CorpusError, RecipeError, SampleError
from mirror.paths import local_path
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import PairsSection, Recipe
from mirror.store import INPUT_FILES, Stage, StageRecord, Store, section_content

EMPTY = "empty side"
EQUAL = "equal sides"
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
    """What some files of pairs hold."""

    pairs: tuple[tuple[str, str], ...]
    """In the order of the files, each once, whichever side comes first."""
    skipped: Mapping[str, int]
    """How many pairs were passed over, by reason."""


def read_pairs(section: PairsSection) -> ReadPairs:
    """All pairs of a recipe's files.

    TSV is read without quoting: every TAB parts two cells.  Files may be packed with gzip or zstd.
    Texts are repaired as a corpus's are.

    Raises:
        CorpusError: a file is missing, unreadable, of another format or encoding, or lacks a
            column; or a row does not fit, which is named by its line; or no pair is left.
        ServiceError: an object store does not answer.
    """
    pairs: dict[tuple[str, str], None] = {}
    skipped: Counter[str] = Counter()
    for place in _places(section):
        for first, second in _rows(place, section):
            if reason := _fault(first, second, pairs):
                skipped[reason] += 1
            else:
                pairs[first, second] = None
    if not pairs:
        why = ", ".join(f"{n} with {reason}" for reason, n in skipped.most_common())
        raise CorpusError(
            f"no pair in {', '.join(section.paths)} (pairs.paths) is left, of "
            f"{skipped.total()} ({why or 'the files are empty'}): check pairs.first and "
            "pairs.second, or name other files"
        )
    return ReadPairs(tuple(pairs), dict(sorted(skipped.items())))


def check_pairs(recipe: Recipe) -> None:
    """Whether the recipe's pairs, if it has any, are there and have the columns; reads little.

    Raises:
        CorpusError: a file is missing or unreadable, lacks a column, or its first row does not fit.
        ServiceError: an object store does not answer.
    """
    if recipe.pairs is not None:
        for place in _places(recipe.pairs):
            next(_rows(place, recipe.pairs), None)


def pairs_stage(recipe: Recipe) -> Stage:
    """The stage that gathers a recipe's pairs; reads local files once for their digests.

    Raises:
        RecipeError: the recipe has no `[pairs]`.
        CorpusError: a file is missing.
    """
    section = _section(recipe)
    with _naming_pairs():
        digests = place_digests(_places(section))
    content = section_content(section)
    del content["with_strings"]  # what is done with them is tuning's
    return Stage("pairs", "corpus.labelled_pairs", digests, content, ("ftfy", "pyarrow", "regex"))


def gather_pairs(
    recipe: Recipe, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Gathers the recipe's pairs, or finds them gathered.

    The folder holds `pairs.parquet` (first, second), in the order of the files.

    Raises:
        RecipeError: the recipe has no `[pairs]`.
        CorpusError: as `read_pairs`.
        SampleError: there are fewer pairs than one batch takes, and no strings beside them.
        StoreError: the folder cannot be written.
    """
    section, batch = _section(recipe), recipe.tuning.batch_size

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        found = read_pairs(section)
        count = len(found.pairs)
        first, second = zip(*found.pairs, strict=True)
        table = pa.table({"first": first, "second": second}, SCHEMA)
        pq.write_table(table, out / "pairs.parquet", ROW_GROUP, compression="zstd")
        on_progress(ProgressEvent("pairs", count, count, "pairs", "gathered"))
        return {
            "pairs": count,
            "skipped": dict(found.skipped),
            INPUT_FILES: file_facts(_places(section)),
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
        raise RecipeError(f"recipe {recipe.name} has no [pairs]: add it, or do without pairs")
    return recipe.pairs


def _places(section: PairsSection) -> list[InputFile]:
    for path in section.paths:
        name = PurePosixPath(path.lower())
        bare = name.with_suffix("") if name.suffix in COMPRESSIONS else name
        if local_path(path).is_file() and bare.suffix not in ENDINGS:
            raise CorpusError(_not_pairs(path))
    with _naming_pairs():
        places = find_places(section.paths)
    for place in places:
        if place.format not in ("tsv", "jsonl"):
            raise CorpusError(_not_pairs(place.path))
    return places


def _not_pairs(path: str) -> str:
    return (
        f"{path} (pairs.paths) does not end like a file of pairs: name files that end in "
        f"{' '.join(ENDINGS)}, plain or with {' or '.join(COMPRESSIONS)} after it"
    )


def _fault(first: str, second: str, seen: Mapping[tuple[str, str], None]) -> str:
    """Why a pair is passed over; empty if it is kept."""
    if not first or not second:
        return EMPTY
    if BROKEN in first + second:
        return BROKEN_TEXT
    if first == second:
        return EQUAL
    return DUPLICATE if (first, second) in seen or (second, first) in seen else ""


def _rows(place: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    read = _read_jsonl if place.format == "jsonl" else _read_tsv
    with _naming_pairs():
        for first, second in read(place, section):
            yield clean_line(clean_text(first)), clean_line(clean_text(second))


def _read_tsv(place: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    columns: tuple[int, int] | None = None
    width = 0
    if isinstance(section.first, int) and isinstance(section.second, int):
        columns = (section.first, section.second)
    for line in read_lines(place, "utf-8"):
        cells = _text(line, place).split("\t")
        if columns is None:
            columns, width = _columns(cells, place, section), len(cells)
            continue
        if width and len(cells) != width:
            raise _misfit(line, place, f"{len(cells)} cells, and the header {width}")
        if max(columns) >= len(cells):
            raise _misfit(line, place, f"{len(cells)} cells, and none of number {max(columns)}")
        yield cells[columns[0]], cells[columns[1]]


def _columns(header: list[str], place: InputFile, section: PairsSection) -> tuple[int, int]:
    names = [name.strip() for name in header]
    for column in (section.first, section.second):
        if column not in names:
            raise CorpusError(
                f"{place.path} has no column {column!r}: set pairs.first and pairs.second to those "
                f"that it has ({', '.join(names)[:300]}), or to numbers from 0 if it has no header"
            )
    return names.index(str(section.first)), names.index(str(section.second))


def _read_jsonl(place: InputFile, section: PairsSection) -> Iterator[tuple[str, str]]:
    if isinstance(section.first, int):
        raise CorpusError(
            f"{place.path} is JSONL, whose columns have names: set pairs.first and pairs.second to "
            "names"
        )
    for line in read_lines(place, "utf-8"):
        try:
            row = json.loads(_text(line, place))
        except (ValueError, RecursionError) as error:
            raise _misfit(line, place, f"no JSON ({error})") from error
        if not isinstance(row, dict):
            raise _misfit(line, place, "no JSON object")
        first, second = (row.get(str(column)) for column in (section.first, section.second))
        if not isinstance(first, str) or not isinstance(second, str):
            raise _misfit(line, place, f"no text in {section.first!r} or in {section.second!r}")
        yield first, second


def _text(line: Line, place: InputFile) -> str:
    if line.oversized:
        raise _misfit(line, place, "more text than a row may have")
    return line.text


def _misfit(line: Line, place: InputFile, what: str) -> CorpusError:
    shown = f": {line.text[:SHOWN]!r}" if line.text else ""
    return CorpusError(
        f"line {line.number} of {place.path} (pairs.paths) has {what}{shown}; mend or remove it"
    )


@contextmanager
def _naming_pairs() -> Iterator[None]:
    """Errors of the readers that are shared with corpora name the setting that is at fault here."""
    try:
        yield
    except CorpusError as error:
        told = _OTHER_REMEDY.sub("rewrite it in UTF-8", str(error))
        raise CorpusError(told.replace("corpus.paths", "pairs.paths")) from error
