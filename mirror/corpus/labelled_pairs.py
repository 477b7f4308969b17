"""Labelled pairs: texts with the same meaning, positives of the tuning loss.

The official code reads `text||text` lines and silently skips malformed ones
(docs/official-code.md, fault 9).  Here a malformed row is an error, and useless pairs are counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.corpus.cleaning import BROKEN
from mirror.corpus.input_files import file_facts, input_digests
from mirror.corpus.pair_files import errors_about_pairs, find_pair_files, pair_rows
from mirror.corpus.reasons import BROKEN_TEXT, DUPLICATE, EMPTY_TEXT, EQUAL_TEXTS
from mirror.documents import EMPTY_CELL, is_empty_cell
from mirror.errors import CorpusError, RecipeError, SampleError
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import PairsSection, Recipe
from mirror.shared_texts import MOST, SharedTexts, find_shared_texts
from mirror.store import INPUT_FILES, Stage, StageRecord, Store, section_content

log = logging.getLogger(__name__)

ROW_GROUP = 1 << 16
SCHEMA = pa.schema([("first", pa.string()), ("second", pa.string())])


@dataclass(frozen=True)
class ReadPairs:
    """Pairs of some files, and counts of those skipped."""

    pairs: tuple[tuple[str, str], ...]
    """Each pair once, regardless of the order of its texts; in the order of the files."""
    skipped: Mapping[str, int]
    """Number of skipped pairs by reason."""
    doubtful: int = 0
    """Pairs whose text may be an empty cell's, or a word such as "None"."""


def read_pairs(section: PairsSection) -> ReadPairs:
    """Return all pairs of a recipe's files.

    TSV is read without quoting: every TAB separates two cells.  Files may be compressed with gzip
    or zstd.  Texts are repaired like those of a corpus.  A text that programs write for an empty
    cell, such as `nan`, is one if two pairs or more have it in the same column.

    Raises:
        CorpusError: a file is missing, unreadable, of another format or encoding, or lacks a
            column; or a row is malformed (the error names its line); or no pair is left.
        ServiceError: an object store does not answer.
    """
    pairs: dict[tuple[str, str], None] = {}
    skipped: Counter[str] = Counter()
    for file in find_pair_files(section):
        for first, second in pair_rows(file, section):
            if reason := _fault(first, second, pairs):
                skipped[reason] += 1
            else:
                pairs[first, second] = None
    filled = _without_empty_cells(pairs)
    if len(filled) < len(pairs):
        skipped[EMPTY_CELL] = len(pairs) - len(filled)
    if not filled:
        why = ", ".join(f"{n} with {reason}" for reason, n in skipped.most_common())
        raise CorpusError(
            f"no pair in {', '.join(section.paths)} (pairs.paths) is left of "
            f"{skipped.total()} ({why or 'the files are empty'}): check pairs.first and "
            "pairs.second, or name other files"
        )
    doubtful = sum(any(map(is_empty_cell, pair)) for pair in filled)
    return ReadPairs(tuple(filled), dict(sorted(skipped.items())), doubtful)


def check_pairs(recipe: Recipe) -> None:
    """Check files, columns and first rows of the recipe's pairs, if it has any.

    Raises:
        CorpusError: a file is missing or unreadable, lacks a column, or its first row is malformed.
        ServiceError: an object store does not answer.
    """
    if recipe.pairs is not None:
        for file in find_pair_files(recipe.pairs):
            next(pair_rows(file, recipe.pairs), None)


def pairs_stage(recipe: Recipe) -> Stage:
    """Return the stage that collects a recipe's pairs; local files are read for their digests.

    Raises:
        RecipeError: the recipe has no `[pairs]`.
        CorpusError: a file is missing.
    """
    section = _section(recipe)
    with errors_about_pairs():
        digests = input_digests(find_pair_files(section))
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
        SampleError: there are fewer pairs than a batch takes, or they all share texts, and no
            strings to add.
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
            "doubtful": result.doubtful,
            "shared_texts": asdict(find_shared_texts(result.pairs)),
            INPUT_FILES: file_facts(find_pair_files(section)),
        }

    record = store.make(pairs_stage(recipe), write)
    _warn_of_empty_cells(record, section)
    _check_enough(record, section, batch)
    return record


def _warn_of_empty_cells(record: StageRecord, section: PairsSection) -> None:
    counts, paths = record.counts, ", ".join(section.paths)
    if left_out := counts["skipped"].get(EMPTY_CELL, 0):
        log.warning(
            "%s (pairs.paths): %d pairs have the text of an empty cell, such as 'nan' or 'None', "
            "and are left out: write the file without them",
            paths,
            left_out,
        )
    if doubtful := counts["doubtful"]:
        log.warning(
            "%s (pairs.paths): %d pairs have a text such as 'nan' or 'None' that no other pair has "
            "in its column, so it may be a word: remove them if it is an empty cell",
            paths,
            doubtful,
        )


def _check_enough(record: StageRecord, section: PairsSection, batch: int) -> None:
    """Check that a batch of the pairs has negatives."""
    paths, pairs = ", ".join(section.paths), record.counts["pairs"]
    if not section.with_strings and pairs < batch:
        skipped = record.counts["skipped"].items()
        without = "".join(f", without {count} skipped, {reason}" for reason, count in skipped)
        raise SampleError(
            f"{paths} (pairs.paths) hold {pairs} pairs{without}, fewer than one batch of "
            f"{batch}: give more, lower tuning.batch_size, or set pairs.with_strings to true"
        )
    shared = SharedTexts(**record.counts["shared_texts"])
    if not section.with_strings and shared.lacks_negatives(batch):
        raise SampleError(
            f"{paths} (pairs.paths): {shared.describe('pairs')}, so they are no negatives of each "
            "other and there is nothing to learn: give pairs of different texts, name other "
            "columns, or set pairs.with_strings to true"
        )
    if pairs > 1 and shared.largest_share > MOST:
        log.warning(
            "%s (pairs.paths): %s, so they are no negatives of each other: check pairs.first and "
            "pairs.second",
            paths,
            shared.describe("pairs"),
        )


def _section(recipe: Recipe) -> PairsSection:
    if recipe.pairs is None:
        raise RecipeError(f"recipe {recipe.name} has no [pairs]: add the section")
    return recipe.pairs


def _without_empty_cells(pairs: Mapping[tuple[str, str], None]) -> list[tuple[str, str]]:
    cells = Counter(each for pair in pairs for each in enumerate(pair) if is_empty_cell(each[1]))
    return [pair for pair in pairs if all(cells[each] < 2 for each in enumerate(pair))]


def _fault(first: str, second: str, seen: Mapping[tuple[str, str], None]) -> str:
    """Return why a pair is skipped; empty if it is not."""
    if not first or not second:
        return EMPTY_TEXT
    if BROKEN in first + second:
        return BROKEN_TEXT
    if first == second:
        return EQUAL_TEXTS
    return DUPLICATE if (first, second) in seen or (second, first) in seen else ""
