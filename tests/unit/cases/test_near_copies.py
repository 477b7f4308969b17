"""Near copies, such as paragraphs with one digit changed, are counted (missing, issue 14)."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from pathlib import Path

import pytest

from mirror.corpus.near_copies import estimate_near_copies, near_copy_share
from tests.fixtures.corpora import rows_of, write_corpus

pytestmark = pytest.mark.case("copies")


def paragraphs(count: int, words: int = 12) -> list[str]:
    draw = random.Random(5)
    vocabulary = ["".join(draw.choices(string.ascii_lowercase, k=5)) for _ in range(2_000)]
    return [" ".join(draw.choices(vocabulary, k=words)) + f" {n}" for n in range(count)]


def estimate(texts: Sequence[str], folder: Path) -> float:
    write_corpus(folder, rows_of(texts))
    return estimate_near_copies(folder / "sentences", len(texts), folder / "work")


def changed(text: str, at: int) -> str:
    return f"{text[:at]}#{text[at + 1 :]}"


@pytest.mark.parametrize("at", [0, 20, 50, -1])
def test_copies_with_one_character_changed_are_counted(tmp_path: Path, at: int) -> None:
    texts = paragraphs(900)
    copies = [changed(text, at % len(text)) for text in texts[:390]]
    share = estimate([*texts, *copies], tmp_path)
    assert share == pytest.approx(390 / 1290, abs=0.02)


def test_a_large_corpus_is_estimated_from_a_sample(tmp_path: Path) -> None:
    texts = paragraphs(12_000)
    copies = [changed(text, 40) for text in texts[:4_000]]
    assert estimate([*texts, *copies], tmp_path) == pytest.approx(0.25, abs=0.05)


def test_different_texts_and_equal_ones_are_no_near_copies(tmp_path: Path) -> None:
    texts = paragraphs(500)
    assert estimate(texts * 2, tmp_path) == 0
    assert near_copy_share(["a red boat on the long river", *texts]) == 0
    assert near_copy_share([]) == 0


def test_an_empty_corpus_has_none(tmp_path: Path) -> None:
    assert estimate([], tmp_path) == 0
