"""Tables of word vectors, read by gensim and from safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from mirror.errors import BaseModelError, InputError
from mirror.export.word_vectors import export_words, frequent_words, read_words
from mirror.hashing import digest_of_json
from mirror.store import StageRecord, Store
from tests.fixtures.recipes import make_recipe

WORDS = ["the", "Fuß", "水", "new york", "naïve", "a" * 40]


class Invented:
    """An encoder whose vectors follow from the text alone."""

    dimension = 7

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (texts, 7) with all digits of float32 in use."""
        seeds = [int(digest_of_json(text)[:8], 16) for text in texts]
        rows = [np.random.default_rng(seed).standard_normal(self.dimension) for seed in seeds]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dimension)


class Broken(Invented):
    """An encoder that has gone wrong."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not numbers."""
        return np.full((len(texts), self.dimension), np.nan, dtype=np.float32)


@pytest.mark.parametrize(("name", "binary"), [("word2vec.txt", False), ("word2vec.bin", True)])
def test_gensim_reads_the_exported_vectors(tmp_path: Path, name: str, binary: bool) -> None:
    models = pytest.importorskip("gensim.models")
    export_words(Invented(), WORDS, tmp_path / "table")
    read = models.KeyedVectors.load_word2vec_format(str(tmp_path / "table" / name), binary=binary)
    assert read.index_to_key == [word.replace(" ", "_") for word in WORDS]
    np.testing.assert_array_equal(read.vectors, Invented().encode(WORDS))


def test_safetensors_and_vocabulary_have_them_in_one_order(tmp_path: Path) -> None:
    export_words(Invented(), WORDS, tmp_path / "table")
    vectors = load_file(tmp_path / "table" / "vectors.safetensors")["vectors"]
    listed = (tmp_path / "table" / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    assert listed == WORDS
    np.testing.assert_array_equal(vectors, Invented().encode(WORDS))
    settings = json.loads((tmp_path / "table" / "table.json").read_text())
    assert settings == {"words": 6, "width": 7, "normalised": False}


def test_a_word_has_the_vector_of_the_word_alone(tiny_base: Path, tmp_path: Path) -> None:
    from mirror.encoders.encoder import Encoder

    encoder = Encoder.load(tiny_base, "mean", 16)
    words = ["baker", "ladder", "mirror", "the", "quiet"]
    export_words(encoder, words, tmp_path / "table")
    vectors = load_file(tmp_path / "table" / "vectors.safetensors")["vectors"]
    alone = np.concatenate([encoder.encode([word]) for word in words])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)


def test_words_that_would_share_a_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'new york' and 'new_york' are one word"):
        export_words(Invented(), ["new york", "new_york"], tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_vectors_that_are_not_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="not numbers"):
        export_words(Broken(), WORDS, tmp_path / "table")
    assert list(tmp_path.iterdir()) == []


def test_a_list_gives_each_word_once(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("b\n\n a \nb\n水\n", encoding="utf-8")
    assert read_words(path) == ["b", "a", "水"]
    path.write_text("\n \n")
    with pytest.raises(InputError, match="has no words"):
        read_words(path)


def test_words_of_a_corpus_are_sorted_by_frequency(store: Store, tmp_path: Path) -> None:
    from mirror.corpus.ingest import ingest_corpus

    text = tmp_path / "text.txt"
    text.write_text(
        "the baker sells the red basket near the old tower\n"
        "the miner lifts a red lantern near the wet bridge\n"
        "a quiet judge counts the old letters with great care\n"
    )
    files = {"source": "files", "paths": [str(text)], "check_language": False}
    recipe = make_recipe(corpus=files)
    corpus: StageRecord = ingest_corpus(recipe, store)
    assert frequent_words(corpus, 5) == ["the", "a", "near", "old", "red"]
    assert len(frequent_words(corpus, 1_000)) == 21
