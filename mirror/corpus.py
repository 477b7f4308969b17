"""Sources of text turned into a snapshot in Parquet.

Two passes.  The first cleans and splits every document and notes each string's hash; the second,
which knows every repetition, writes what is kept and what is rejected.  Memory does not grow with
the corpus, but for near-duplicates.
"""

from __future__ import annotations

import logging
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from mirror.duplicates import DuplicateFinder, NearDuplicateFinder, read_repeated
from mirror.errors import CorpusError, StoreError
from mirror.progress import OnProgress, Progress, silent
from mirror.recipe import Recipe
from mirror.sifting_pool import sift_documents
from mirror.snapshot import (
    CANDIDATES,
    PASSAGES,
    REJECTS,
    SENTENCES,
    TableWriter,
    count_rows,
    read_rows,
)
from mirror.sources import check_sources, read_documents, source_digests, source_libraries
from mirror.store import Stage, StageRecord, Store, section_content

log = logging.getLogger(__name__)

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
MOST_REJECT = 200
"""Characters of a rejected row that are kept."""
LEAST_SENTENCES = 4
"""A document must keep so many to be a passage of two halves."""
TELL_EVERY = 1_000
TOLD = ("files", "obtaining")
"""Settings that are no part of the key."""


def corpus_stage(recipe: Recipe) -> Stage:
    """The stage that makes a recipe's corpus; reads local files once for their digests.

    Raises:
        InputError: a source is missing.
    """
    section = {
        # What published files hold is among the inputs; where they are changes nothing.
        **{key: value for key, value in section_content(recipe.corpus).items() if key not in TOLD},
        "language": recipe.language,
        "unicode": unicodedata.unidata_version,
    }
    libraries = ["pyarrow", "ftfy", "regex", "pysbd", *source_libraries(recipe.corpus)]
    if recipe.corpus.check_language:
        libraries.append("py3langid")
    return Stage("corpus", "corpus", source_digests(recipe), section, tuple(sorted(libraries)))


def ingest_corpus(recipe: Recipe, store: Store, on_progress: OnProgress = silent) -> StageRecord:
    """Makes the recipe's corpus, or finds it made.

    The folder holds `sentences/` (text, source, document, position, count: a row per string kept,
    in the order of the sources), `passages/` (document, source, query, answer) and `rejects/`
    (text, source, document, reason), each in parts.

    Raises:
        InputError: a source is missing, unreadable or of another kind, or nothing in it is kept.
        ServiceError: a hub or an object store does not answer.
        StoreError: the folder cannot be written.
    """
    check_sources(recipe)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        shutil.rmtree(work)
        try:
            tally = _gather(recipe, work, on_progress)
            on_progress(Progress("corpus", tally.documents, tally.documents, "documents", "read"))
            _write_snapshot(recipe, out, work, tally)
            _check_balance(out, tally)
        finally:
            # Nothing goes on from it, and it would keep a full disk full.
            shutil.rmtree(work, ignore_errors=True)
        if not tally.kept:
            raise _nothing_kept(recipe, tally)
        return {
            "rows_in": tally.rows_in,
            "kept": tally.kept,
            "rejected": dict(sorted(tally.rejected.items())),
            "documents": tally.documents,
            "passages": tally.passages,
            "characters": tally.characters,
        }

    return store.make(corpus_stage(recipe), write)


@dataclass
class _Tally:
    """What has been counted so far."""

    documents: int = 0
    rows_in: int = 0
    kept: int = 0
    passages: int = 0
    characters: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def _gather(recipe: Recipe, work: Path, on_progress: OnProgress) -> _Tally:
    """First pass: every row in order, with its fault if it has one; passages that sources give."""
    tally = _Tally()
    finder = DuplicateFinder(work / "hashes")
    with (
        TableWriter(work / "candidates", CANDIDATES) as candidates,
        TableWriter(work / "passages", PASSAGES) as passages,
    ):
        for sifted in sift_documents(recipe, read_documents(recipe)):
            number = tally.documents
            for position, row in enumerate(sifted.rows):
                text = row.text[:MOST_REJECT] if row.fault else row.text
                candidates.add(text, sifted.source, number, position, sifted.count, row.fault)
                if not row.fault:
                    finder.add(tally.rows_in, text)
                tally.rows_in += 1
            if sifted.query:
                passages.add(number, sifted.source, sifted.query, sifted.answer)
            tally.documents += 1
            if tally.documents % TELL_EVERY == 0:
                on_progress(Progress("corpus", tally.documents, None, "documents", sifted.source))
    finder.mark_repeated(tally.rows_in)
    return tally


def _write_snapshot(recipe: Recipe, out: Path, work: Path, tally: _Tally) -> None:
    """Second pass: sentences, passages and rejects, now that repetitions are known."""
    rows = _judged(recipe, work)
    own = _Passages(read_rows(work / "passages")) if _brings_passages(recipe) else None
    with ExitStack() as stack:
        sentences, passages, rejects = (
            stack.enter_context(TableWriter(out / name, schema))
            for name, schema in (
                ("sentences", SENTENCES),
                ("passages", PASSAGES),
                ("rejects", REJECTS),
            )
        )
        for document, group in groupby(rows, key=itemgetter(2)):
            kept: list[str] = []
            for text, source, _, position, count, fault in group:
                if fault:
                    rejects.add(text[:MOST_REJECT], source, document, fault)
                    tally.rejected[fault] += 1
                else:
                    sentences.add(text, source, document, position, count)
                    kept.append(text)
            tally.kept += len(kept)
            tally.characters += sum(map(len, kept))
            pair = own.of(document) if own else _halves(recipe, kept)
            if kept and pair:
                passages.add(document, source, *pair)
                tally.passages += 1


def _judged(recipe: Recipe, work: Path) -> Iterator[tuple[Any, ...]]:
    """The first pass's rows, with repetitions now among the faults."""
    repeated = read_repeated(work / "hashes")
    similarity = recipe.corpus.near_duplicates
    near = None if similarity is None else NearDuplicateFinder(similarity)
    for number, row in enumerate(read_rows(work / "candidates")):
        fault = row[-1]
        if not fault and repeated[number] and not recipe.corpus.verbatim:
            fault = DUPLICATE
        elif not fault and near and not near.is_new(row[0]):
            fault = NEAR_DUPLICATE
        yield (*row[:-1], fault)


class _Passages:
    """Passages in the order of their documents, looked up in that order."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, document: int) -> tuple[str, str] | None:
        """That document's query and answer."""
        if self._next is None or self._next[0] != document:
            return None
        _, _, query, answer = self._next
        self._next = next(self._rows, None)
        return query, answer


def _brings_passages(recipe: Recipe) -> bool:
    return recipe.corpus.source == "docstrings"


def _halves(recipe: Recipe, kept: list[str]) -> tuple[str, str] | None:
    """The two halves of a document of at least four sentences; lists have none."""
    section = recipe.corpus
    if section.unit == "line" or section.source == "wordfreq" or len(kept) < LEAST_SENTENCES:
        return None
    middle = len(kept) // 2
    return " ".join(kept[:middle]), " ".join(kept[middle:])


def _check_balance(out: Path, tally: _Tally) -> None:
    """Every row that came in is kept or rejected: by our counts, and by what is on disk."""
    kept, rejected = count_rows(out / "sentences"), count_rows(out / "rejects")
    told = (tally.kept, sum(tally.rejected.values()))
    if (kept, rejected) != told or kept + rejected != tally.rows_in:
        raise StoreError(
            f"the corpus in {out} does not add up: {tally.rows_in} rows in, {kept} kept and "
            f"{rejected} rejected on disk, {told[0]} and {told[1]} counted; please report this"
        )


def _nothing_kept(recipe: Recipe, tally: _Tally) -> CorpusError:
    section = recipe.corpus
    named = section.paths or section.packages or tuple(file.path for file in section.files)
    place = ", ".join(named) or section.dataset or section.source
    if not tally.rows_in:
        return CorpusError(f"there is no text in {place}: give the recipe's [corpus] other sources")
    why = ", ".join(f"{n} {reason}" for reason, n in tally.rejected.most_common())
    return CorpusError(
        f"nothing in {place} is kept, of {tally.rows_in} rows ({why}): give the recipe's [corpus] "
        "other sources, or other bounds"
    )
