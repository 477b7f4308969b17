"""A table of word vectors: each word encoded by itself, for where a look-up must do.

Read by gensim (`KeyedVectors.load_word2vec_format`), and by anything that reads safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mirror.encoders.write_embeddings import AT_ONCE, TextEncoder, read_lines
from mirror.errors import BaseModelError, InputError
from mirror.export.whole_folder import whole_folder
from mirror.progress import OnProgress, ProgressEvent, no_progress

TEXT, BINARY = "word2vec.txt", "word2vec.bin"
MATRIX, VOCABULARY = "vectors.safetensors", "vocabulary.txt"
SETTINGS = "table.json"
TENSOR = "vectors"


def read_words(path: Path) -> list[str]:
    """The words of a list, one a line, each once; empty lines are passed over.

    Raises:
        InputError: it cannot be read, is not UTF-8, or has no words.
    """
    words = list(dict.fromkeys(line.strip() for line in read_lines(path) if line.strip()))
    if not words:
        raise InputError(f"{path} has no words: give it one a line")
    return words


def export_words(
    encoder: TextEncoder, words: Sequence[str], place: Path, on_progress: OnProgress = no_progress
) -> None:
    """Writes a vector for each word, in the words' order, as the encoder has it, not normalised.

    `word2vec.txt` and `word2vec.bin`, in word2vec's formats, where `_` stands for spaces within a
    word; `vectors.safetensors` with the tensor `vectors`, float32 (words, width), and
    `vocabulary.txt`, a word a line.

    Args:
        encoder: gives the vectors.
        words: each once, the most frequent first, as readers of the first N expect.
        place: the folder to write.
        on_progress: told of words that are encoded.

    Raises:
        InputError: something is at `place` already, or two words would have one name.
        BaseModelError: a vector is not numbers.
        StoreError: the folder cannot be written.
    """
    names = _names(words)
    with whole_folder(place) as out:
        vectors = np.empty((len(words), encoder.dimension), dtype="<f4")
        for start in range(0, len(words), AT_ONCE):
            part = words[start : start + AT_ONCE]
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
    """The words as word2vec's formats have them, which know no space within a word."""
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
            # Nine digits tell every float32 from its neighbours.
            file.write(f"{name} {' '.join(f'{number:.9g}' for number in vector.tolist())}\n")


def _write_binary(path: Path, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        file.write(f"{len(names)} {vectors.shape[1]}\n".encode())
        for name, vector in zip(names, vectors, strict=True):
            file.write(f"{name} ".encode() + vector.tobytes() + b"\n")
