"""Bilingual lexicon induction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, read_definition
from mirror.evaluation.evaluate import score_encoder
from mirror.evaluation.kinds.lexicon_induction import (
    map_spaces,
    precision_at_1_csls,
)
from tests.fixtures.benchmarks import declare_files


class Table:
    """An encoder that knows its words' vectors."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors

    def encode(self, texts):
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)


def define(folder: Path, monkeypatch, training: str, test: str, more: str = "") -> Benchmark:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(folder))
    files = declare_files(folder, {"train.tsv": training, "test.tsv": test})
    (folder / "mine.toml").write_text(
        f'task = "lexicon-induction"\nmetric = "acc@1"\n{more}{files}'
    )
    return read_definition(str(folder / "mine.toml"))


def rotation(width: int, seed: int = 3) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]


def words(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def two_languages(count: int, width: int) -> tuple[Table, Table]:
    """Words a0, a1 and so on, and b0, b1, their translations, in a space that is turned."""
    first = np.random.default_rng(1).normal(size=(count, width))
    second = first @ rotation(width)
    return (
        Table(dict(zip(words("a", count), first, strict=True))),
        Table(dict(zip(words("b", count), second, strict=True))),
    )


def dictionary(numbers) -> str:
    return "".join(f"a{number}\tb{number}\n" for number in numbers)


def test_a_turned_space_is_turned_back(tmp_path: Path, monkeypatch) -> None:
    encoder, other = two_languages(60, 8)
    definition = define(tmp_path, monkeypatch, dictionary(range(40)), dictionary(range(40, 60)))
    result = score_encoder(encoder, definition, second=other)
    assert (result.metric, result.score, result.n) == ("acc@1", 1.0, 20)
    # One encoder of both languages, which does not have them in one place.
    both = Table({**encoder.vectors, **other.vectors})
    assert score_encoder(both, definition).score == 1.0


def test_wrong_training_pairs_give_a_wrong_map(tmp_path: Path, monkeypatch) -> None:
    encoder, other = two_languages(60, 8)
    shuffled = "".join(f"a{number}\tb{(number * 7 + 3) % 40}\n" for number in range(40))
    definition = define(tmp_path, monkeypatch, shuffled, dictionary(range(40, 60)))
    assert score_encoder(encoder, definition, second=other).score < 0.5


def test_spaces_of_two_widths_are_mapped() -> None:
    rng = np.random.default_rng(2)
    narrow = rng.normal(size=(50, 4)).astype(np.float32)
    wide = np.hstack([narrow @ rotation(4), np.zeros((50, 3))]).astype(np.float32)
    pairs = np.stack([np.arange(30), np.arange(30)], axis=1)
    sources, targets = map_spaces(narrow, wide, pairs)
    assert sources.shape == targets.shape == (50, 4)
    assert np.einsum("ij,ij->i", sources, targets) == pytest.approx(np.ones(50), abs=1e-5)


def test_the_map_gives_the_cosines_of_scipys_procrustes() -> None:
    rng = np.random.default_rng(4)
    sources, targets = (rng.normal(size=(30, 5)).astype(np.float32) for _ in range(2))
    pairs = np.stack([np.arange(20), np.arange(20)], axis=1)

    def normal(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        centred = unit - unit.mean(axis=0)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    x, z = normal(sources), normal(targets)
    turned = x @ orthogonal_procrustes(x[:20], z[:20])[0]
    mapped, others = map_spaces(sources, targets, pairs)
    assert mapped @ others.T == pytest.approx(turned @ z.T, abs=1e-5)


def at(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_csls_passes_over_a_hub() -> None:
    # The word at 0° is nearest by cosine to the hub at 10°, which four other words lie round; its
    # translation at 340° has none beside it.
    sources, targets = at(0, 9, 10, 11, 12), at(10, 340)
    cosines = sources[:1] @ targets.T
    assert cosines[0, 0] > cosines[0, 1]
    assert precision_at_1_csls(sources, targets, ((0, frozenset({1})),)).tolist() == [1.0]
    assert precision_at_1_csls(sources, targets, ((0, frozenset({0})),)).tolist() == [0.0]


def test_any_of_several_translations_is_right_and_a_tie_is_wrong() -> None:
    sources, targets = at(0, 90), at(90, 0, 0)
    either = ((0, frozenset({0, 1, 2})), (0, frozenset({1, 2})), (0, frozenset({1})))
    assert precision_at_1_csls(sources, targets, either).tolist() == [1.0, 1.0, 0.0]


def test_null_is_a_word(tmp_path: Path, monkeypatch) -> None:
    definition = define(tmp_path, monkeypatch, "null\tnul\nNaN\tna\n", "one\tun\none\tune\n")
    lexicon = definition.load(None)
    assert lexicon.sources == ("null", "NaN", "one")
    assert lexicon.targets == ("nul", "na", "un", "une")
    assert lexicon.test == ((2, frozenset({2, 3})),)


@pytest.mark.parametrize(
    ("training", "more", "message"),
    [
        ("one two\n", "", "train.tsv, line 1: not two words"),
        ("one\t\n", "", "train.tsv, line 1: not two words"),
        ("", "", "holds no pair"),
        ("one\tun\n", "items = 3\n", "holds 1 test words and declares 3"),
    ],
)
def test_faults_of_a_dictionary_are_reported(
    tmp_path: Path, monkeypatch, training: str, more: str, message: str
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        define(tmp_path, monkeypatch, training, "two\tdeux\n", more).load(None)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.array([np.nan, 1]), "zeros or nan"),
        (np.zeros(2), "zeros or nan"),
        (np.ones(2), "collaps"),
    ],
)
def test_a_collapsed_encoder_is_an_error(tmp_path: Path, monkeypatch, vector, message: str) -> None:
    definition = define(tmp_path, monkeypatch, "a\tb\n", "c\td\n")
    with pytest.raises(BenchmarkError, match=message):
        score_encoder(Table(dict.fromkeys("abcd", vector)), definition)


@pytest.mark.parametrize(
    ("pair", "test_words"),
    [
        ("en-fr", 2000),
        ("en-it", 2000),
        ("en-ru", 2000),
        ("en-tr", 2000),
        ("it-fr", 1936),
        ("ru-fr", 1910),
    ],
)
def test_the_shipped_lexicons_are_whole(shared: Path, pair: str, test_words: int) -> None:
    lexicon = read_definition(f"xling-{pair}").load(None)
    assert (len(lexicon.training), len(lexicon.test)) == (5000, test_words)
    assert all(lexicon.sources) and all(lexicon.targets)
    if pair.startswith("en"):
        assert "null" in lexicon.sources
