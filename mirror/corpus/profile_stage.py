"""Stage of the corpus profile.

The strings with the lowest hashes are a uniform sample of the corpus, and two corpora that share
most strings draw mostly the same ones.  Their profiles therefore differ by the corpora rather than
by the draw (Broder 1997, "On the resemblance and containment of documents", bottom-k sketches).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.corpus.profile import (
    LENGTH_STEP,
    PROFILE,
    CorpusProfile,
    pieces_per_word,
    unknown_share,
)
from mirror.corpus.reasons import TEMPLATES, WITHOUT_LETTERS
from mirror.corpus.text_templates import template_share
from mirror.corpus.vocabulary_fit import find_unknown_id, measure_fit
from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.tokenizer_files import read_tokenizer
from mirror.errors import StoreError
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.store import Stage, StageRecord, Store

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SKETCH = 16_384
"""Strings that are drawn: the share of new ones is then accurate to half a percent."""
HASH_DIGITS = 16
BATCH = 1_000

_COUNT = "SELECT count(DISTINCT text) FROM read_parquet($parts, hive_partitioning = false)"
_LOWEST = """
SELECT md5(text) AS hash, text FROM read_parquet($parts, hive_partitioning = false)
GROUP BY text ORDER BY hash, text LIMIT $size
"""


def profile_stage(corpus: StageRecord, base: EncoderRef) -> Stage:
    """Return the stage that makes a corpus's profile."""
    inputs = {"corpus": corpus.digest, "base": base.digest}
    libraries = ("pyarrow", "tokenizers")
    return Stage("profile", "corpus.profile_stage", inputs, {"sketch": SKETCH}, libraries)


def profile_corpus(
    corpus: StageRecord, base: EncoderRef, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Make a corpus's profile, or reuse it; the folder holds `profile.json`.

    Raises:
        StoreError: the corpus cannot be read, or the profile cannot be written.
        TokenizerError: the base's tokenizer cannot be read.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        strings, drawn = _lowest_strings(corpus, work)
        tokenizer = read_tokenizer(Path(base.folder))
        profile = measure_profile(strings, drawn, tokenizer)
        text = json.dumps(asdict(profile), ensure_ascii=False, sort_keys=True)
        (out / PROFILE).write_text(text, encoding="utf-8")
        on_progress(ProgressEvent("profile", len(drawn), len(drawn), "strings"))
        texts = [text for _, text in drawn]
        return {
            "strings": profile.strings,
            "drawn": len(drawn),
            "unknown": unknown_share(profile),
            "pieces_per_word": pieces_per_word(profile),
            TEMPLATES: template_share(texts),
            WITHOUT_LETTERS: sum(not any(map(str.isalpha, each)) for each in texts)
            / max(len(texts), 1),
            **asdict(measure_fit(texts, tokenizer)),
        }

    return store.make(profile_stage(corpus, base), write)


def measure_profile(
    strings: int, drawn: Sequence[tuple[str, str]], tokenizer: Tokenizer
) -> CorpusProfile:
    """Return the profile of a corpus.

    Args:
        strings: how many different strings the corpus has.
        drawn: hash and text of the strings with the lowest hashes, ascending.
        tokenizer: the base model's.
    """
    pieces: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    unknown = words = 0
    unknown_id = find_unknown_id(tokenizer)
    for start in range(0, len(drawn), BATCH):
        texts = [text for _, text in drawn[start : start + BATCH]]
        lengths.update(len(text) // LENGTH_STEP * LENGTH_STEP for text in texts)
        for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
            pieces.update(encoding.tokens)
            unknown += encoding.ids.count(unknown_id)
            words += len({word for word in encoding.word_ids if word is not None})
    return CorpusProfile(
        strings=strings,
        sketch=tuple(digest[:HASH_DIGITS] for digest, _ in drawn),
        pieces=dict(sorted(pieces.items())),
        unknown=unknown,
        words=words,
        lengths={str(low): number for low, number in sorted(lengths.items())},
    )


def _lowest_strings(corpus: StageRecord, work: Path) -> tuple[int, list[tuple[str, str]]]:
    import duckdb

    from mirror.duckdb_connection import connect, exact_names

    parts = exact_names(sorted((corpus.path / "sentences").glob("part-*.parquet")))
    if not parts:
        raise StoreError(f"no strings in {corpus.folder}: remove that folder and run again")
    with connect(work) as connection:
        try:
            [(strings,)] = connection.execute(_COUNT, {"parts": parts}).fetchall()
            drawn = connection.execute(_LOWEST, {"parts": parts, "size": SKETCH}).fetchall()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"the corpus in {corpus.folder} cannot be read ({error}): free disk space and "
                "run again"
            ) from error
    return int(strings), sorted(drawn)
