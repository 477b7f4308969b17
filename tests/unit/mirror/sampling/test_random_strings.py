"""Random strings as a baseline for words."""

from __future__ import annotations

from pathlib import Path

from mirror.sampling.random_strings import CHARACTERS, random_strings
from mirror.store import Store


def drawn(count: int, seed: int, store: Store) -> list[str]:
    return (random_strings(count, seed, store).path / "strings.txt").read_text().splitlines()


def test_random_strings_are_distinct_and_alphanumeric_with_a_letter(store: Store) -> None:
    found = drawn(3_000, 5, store)
    assert len(set(found)) == 3_000
    assert set("".join(found)) == set(CHARACTERS)
    assert not any(text.isdigit() for text in found)
    assert {len(text) for text in found} == set(range(3, 11))


def test_a_smaller_draw_is_the_start_of_a_larger_one_of_the_same_seed(
    store: Store, tmp_path: Path
) -> None:
    found = drawn(50, 5, store)
    assert drawn(50, 5, Store(tmp_path / "elsewhere")) == found
    assert drawn(20, 5, store) == found[:20]
    assert drawn(50, 6, store) != found
