from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirror.encoders.length_buckets import bucket_by_length

LENGTHS = st.lists(st.integers(2, 50), max_size=80)


@given(LENGTHS, st.integers(2, 400), st.integers(0, 100))
def test_each_item_is_in_one_bucket_within_both_limits(
    lengths: list[int], max_tokens: int, max_padding: int
) -> None:
    buckets = bucket_by_length(lengths, max_tokens, max_padding)
    assert sorted(index for indices in buckets for index in indices) == list(range(len(lengths)))
    for indices in buckets:
        longest = max(lengths[index] for index in indices)
        tokens = longest * len(indices)
        assert tokens <= max_tokens or len(indices) == 1
        assert tokens - sum(lengths[index] for index in indices) <= max_padding


def test_without_padding_each_bucket_has_one_length() -> None:
    buckets = bucket_by_length([3, 5, 3, 4, 5], max_tokens=100, max_padding=0)
    assert buckets == [[1, 4], [3], [0, 2]]


def test_similar_lengths_share_a_bucket() -> None:
    assert bucket_by_length([10, 2, 9, 10], max_tokens=100, max_padding=5) == [[0, 3, 2], [1]]
