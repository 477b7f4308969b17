"""Numbers of items whose texts are equal, or nearly so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.tuning.duplicates import equal_text_ids, near_duplicate_ids

texts = st.lists(st.integers(0, 6), max_size=6)


def plain_ids(
    first: list[list[int]], second: list[list[int]], similarity: float | None
) -> list[int]:
    """Return the lowest item that each is connected with, by a loop over all pairs of texts."""
    ids = list(range(len(first)))
    both = [*enumerate(first), *enumerate(second)]
    for _ in ids:
        for item, text in both:
            for other, another in both:
                if text == another or is_near(text, another, similarity):
                    ids[item] = ids[other] = min(ids[item], ids[other])
    return ids


def is_near(text: list[int], another: list[int], similarity: float | None) -> bool:
    one, other = set(text), set(another)
    if similarity is None or not one | other:
        return False
    return len(one & other) / len(one | other) >= similarity


@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=8))
def test_items_of_equal_texts_share_a_number(pairs: list[tuple[list[int], list[int]]]) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    assert equal_text_ids(first, second) == plain_ids(first, second, None)


@given(
    pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=8),
    similarity=st.one_of(st.floats(0.01, 1), st.sampled_from([1 / 3, 0.5, 2 / 3, 0.6, 0.8, 1.0])),
)
def test_items_of_near_duplicates_share_a_number(
    pairs: list[tuple[list[int], list[int]]], similarity: float
) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    found = near_duplicate_ids(equal_text_ids(first, second), first, second, similarity)
    assert found == plain_ids(first, second, similarity)


@pytest.mark.parametrize(("similarity", "ids"), [(0.6, [0, 0, 2]), (0.61, [0, 1, 2])])
def test_similarity_is_the_shared_part_of_all_tokens(similarity: float, ids: list[int]) -> None:
    texts = [[1, 2, 3, 4], [2, 3, 4, 5, 5], [6]]
    assert near_duplicate_ids([0, 1, 2], texts, texts, similarity) == ids


def test_texts_without_tokens_are_no_near_duplicates() -> None:
    assert near_duplicate_ids([0, 1], [[], []], [[], []], 0.1) == [0, 1]
