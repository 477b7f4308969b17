"""The most frequent words of a run's corpus."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import duckdb

from mirror.duckdb_connection import connect
from mirror.errors import StoreError
from mirror.progress import OnProgress, no_progress
from mirror.sampling.sample import SampleSpec, build_candidates
from mirror.sampling.words import word_splitter
from mirror.store import MANIFEST, StageRecord

_MOST_FREQUENT = "SELECT text FROM strings ORDER BY count DESC, text LIMIT $size"


def frequent_words(
    corpus: StageRecord, size: int, on_progress: OnProgress = no_progress
) -> list[str]:
    """A corpus's words by falling frequency, at most `size`; fewer if it has no more.

    Raises:
        InputError: words of the corpus's language need an extra that is not installed.
        SampleError: the corpus is empty.
        StoreError: it cannot be read.
    """
    try:
        manifest = json.loads((corpus.path / MANIFEST).read_text(encoding="utf-8"))
        split = word_splitter(manifest["section"]["language"])
        with tempfile.TemporaryDirectory() as work, connect(Path(work)) as engine:
            build_candidates(engine, corpus.path, SampleSpec(size, 0, False, 1, split), on_progress)
            found = engine.execute(_MOST_FREQUENT, {"size": size}).fetchall()
    except (OSError, ValueError, LookupError, TypeError, duckdb.Error) as error:
        raise StoreError(
            f"the words of the corpus in {corpus.folder} could not be counted ({error}): run its "
            "recipe again"
        ) from error
    return [word for (word,) in found]
