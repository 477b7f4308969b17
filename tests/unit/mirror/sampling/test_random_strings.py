"""Strings that mean nothing."""

from __future__ import annotations

from pathlib import Path

from mirror.sampling.random_strings import CHARACTERS, random_strings
from mirror.store import Store


def drawn(count: int, seed: int, store: Store) -> list[str]:
    return (random_strings(count, seed, store).path / "strings.txt").read_text().splitlines()


def test_they_are_different_have_a_letter_and_nothing_but_letters_and_digits(store: Store) -> None:
    found = drawn(3_000, 5, store)
    assert len(set(found)) == 3_000
    assert set("".join(found)) == set(CHARACTERS)
    assert not any(text.isdigit() for text in found)
    assert {len(text) for text in found} == set(range(3, 11))


def test_the_seed_decides_and_fewer_are_the_first_of_more(store: Store, tmp_path: Path) -> None:
    found = drawn(50, 5, store)
    assert drawn(50, 5, Store(tmp_path / "elsewhere")) == found
    assert drawn(20, 5, store) == found[:20]
    assert drawn(50, 6, store) != found
