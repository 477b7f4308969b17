"""Export of a table of word vectors, in word2vec's formats and as safetensors.

Each word is encoded by itself.  gensim reads it with `KeyedVectors.load_word2vec_format`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mirror.atomic_write import atomic_folder
from mirror.corpus.text_rows import read_utf8_lines
from mirror.duckdb_connection import connect
from mirror.encoders.write_embeddings import TEXTS_PER_PART, FixedSizeEncoder
from mirror.errors import BaseModelError, InputError, StoreError
from mirror.hashing import MANIFEST
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import SampleSection
from mirror.sampling.sample import build_candidates
from mirror.sampling.words import word_splitter
from mirror.store import StageRecord

TEXT, BINARY = "word2vec.txt", "word2vec.bin"
MATRIX, VOCABULARY = "vectors.safetensors", "vocabulary.txt"
SETTINGS = "table.json"
TENSOR = "vectors"
_MOST_FREQUENT = "SELECT text FROM strings ORDER BY count DESC, text LIMIT $size"


def read_words(path: Path) -> list[str]:
    """Return the words of a list, one a line, without empty lines and duplicates.

    Raises:
        InputError: it cannot be read, is not UTF-8, or has no words.
    """
    words = list(dict.fromkeys(line.strip() for line in read_utf8_lines(path) if line.strip()))
    if not words:
        raise InputError(f"{path} has no words: write one a line")
    return words


def frequent_words(
    corpus: StageRecord, size: int, on_progress: OnProgress = no_progress
) -> list[str]:
    """Return the `size` most frequent words of a corpus, the most frequent first.

    Raises:
        InputError: words of the corpus's language need an extra that is not installed.
        SampleError: the corpus is empty.
        StoreError: it cannot be read.
    """
    try:
        manifest = json.loads((corpus.path / MANIFEST).read_text(encoding="utf-8"))
        split = word_splitter(manifest["section"]["language"])
        with tempfile.TemporaryDirectory() as work, connect(Path(work)) as engine:
            section = SampleSection(size=size, seed=0)
            build_candidates(engine, corpus.path, section, split, on_progress=on_progress)
            rows = engine.execute(_MOST_FREQUENT, {"size": size}).fetchall()
    except (OSError, ValueError, LookupError, TypeError, duckdb.Error) as error:
        raise StoreError(
            f"the words of the corpus in {corpus.folder} could not be counted ({error}): run its "
            "recipe again"
        ) from error
    return [word for (word,) in rows]


def export_words(
    encoder: FixedSizeEncoder,
    words: Sequence[str],
    path: Path,
    on_progress: OnProgress = no_progress,
) -> None:
    """Write a folder with the embedding of each word, in the order of the words, not normalised.

    `word2vec.txt` and `word2vec.bin` are in word2vec's formats, with `_` for spaces in a word.
    `vectors.safetensors` has the tensor `vectors`, float32 (words, dimension); `vocabulary.txt`
    has a word a line.

    Args:
        encoder: gives the embeddings.
        words: distinct, the most frequent first, as readers of the first N expect.
        path: the folder to write.
        on_progress: receives an event for each batch of words.

    Raises:
        InputError: `path` exists already, or two words would have one name.
        BaseModelError: an embedding is not finite.
        StoreError: the folder cannot be written.
    """
    names = _names(words)
    with atomic_folder(path) as out:
        vectors = np.empty((len(words), encoder.dimension), dtype="<f4")
        for start in range(0, len(words), TEXTS_PER_PART):
            part = words[start : start + TEXTS_PER_PART]
            vectors[start : start + len(part)] = encoder.encode(part)
            on_progress(ProgressEvent("encode", start + len(part), len(words), "words"))
        if not np.isfinite(vectors).all():
            raise BaseModelError("the encoder gives vectors that are not numbers: tune it again")
        _write_text(out / TEXT, names, vectors)
        _write_binary(out / BINARY, names, vectors)
        save_file({TENSOR: vectors}, out / MATRIX)
        (out / VOCABULARY).write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        settings = {"words": len(words), "width": encoder.dimension, "normalised": False}
        (out / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _names(words: Sequence[str]) -> list[str]:
    """Return the words with `_` for spaces, which word2vec's formats do not allow."""
    seen: dict[str, str] = {}
    for word in words:
        name = "_".join(word.split())
        if not name:
            raise InputError("a word of the list is empty: leave it out")
        if name in seen:
            raise InputError(
                f"{seen[name]!r} and {word!r} are one word in word2vec's format: leave one out"
            )
        seen[name] = word
    return list(seen)


def _write_text(path: Path, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{len(names)} {vectors.shape[1]}\n")
        for name, vector in zip(names, vectors, strict=True):
            # Nine digits represent every float32 exactly.
            file.write(f"{name} {' '.join(f'{number:.9g}' for number in vector.tolist())}\n")


def _write_binary(path: Path, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        file.write(f"{len(names)} {vectors.shape[1]}\n".encode())
        for name, vector in zip(names, vectors, strict=True):
            file.write(f"{name} ".encode() + vector.tobytes() + b"\n")
