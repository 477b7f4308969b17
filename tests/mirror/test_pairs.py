from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mirror.pairs import Masking, batch_count, epoch_batches, mask_span, masked_view


def masking(**changes: object) -> Masking:
    settings = {"length": 2, "min_characters": 1, "token": "<mask>", "seed": 5}
    return Masking(**{**settings, **changes})  # type: ignore[arg-type]


def test_every_start_is_equally_likely_the_last_included() -> None:
    text, generator = "abcdefghij", random.Random(3)
    starts = Counter(mask_span(text, masking(), generator).index("<mask>") for _ in range(9_000))
    assert sorted(starts) == list(range(9))
    # chi-squared with 8 degrees of freedom; 26.1 is passed once in a thousand
    assert sum((count - 1_000) ** 2 / 1_000 for count in starts.values()) < 26.1


def test_the_drawn_run_is_masked_even_if_it_reads_like_an_earlier_one() -> None:
    generator = random.Random(0)
    masked = {mask_span("aaaa", masking(), generator) for _ in range(200)}
    assert masked == {"<mask>aa", "a<mask>a", "aa<mask>"}


@given(
    text=st.text(min_size=1, max_size=60),
    length=st.integers(0, 12),
    min_characters=st.integers(1, 40),
    seed=st.integers(),
)
def test_masking_takes_one_run_of_the_length_and_leaves_the_rest(
    text: str, length: int, min_characters: int, seed: int
) -> None:
    text = text.replace("<", "")
    settings = masking(length=length, min_characters=min_characters)
    masked = mask_span(text, settings, random.Random(seed))
    if length == 0 or len(text) < min_characters or len(text) <= length:
        assert masked == text
    else:
        before, after = masked.split("<mask>")
        assert len(before) + length + len(after) == len(text)
        assert text.startswith(before)
        assert text.endswith(after)


def test_strings_below_the_bound_are_left_alone() -> None:
    assert masked_view("x" * 29, 0, 0, masking(min_characters=30)) == "x" * 29
    assert "<mask>" in masked_view("x" * 30, 0, 0, masking(min_characters=30))


def test_a_view_depends_on_seed_epoch_and_index_alone() -> None:
    text = "the baker sells a broken lantern near the old bridge"
    random.seed(1)
    once = masked_view(text, 7, 0, masking())
    random.seed(2)
    assert masked_view(text, 7, 0, masking()) == once
    views = {masked_view(text, index, epoch, masking()) for index in range(9) for epoch in range(3)}
    assert len(views) > 15
    others = {masked_view(text, 7, 0, masking(seed=seed)) for seed in range(20)}
    assert len(others) > 10


def test_a_view_is_the_same_in_every_release() -> None:
    assert masked_view("abcdefghij", 3, 1, masking()) == "abcdef<mask>ij"


@given(st.integers(2, 300), st.integers(2, 40), st.integers(0, 3))
def test_an_epoch_shows_each_string_at_most_once_in_whole_batches(
    strings: int, batch_size: int, epoch: int
) -> None:
    batches = list(epoch_batches(strings, batch_size, seed=1, epoch=epoch))
    shown = [index for batch in batches for index in batch]
    assert len(batches) == batch_count(strings, batch_size) == strings // batch_size
    assert {len(batch) for batch in batches} <= {batch_size}
    assert len(set(shown)) == len(shown)
    assert set(shown) <= set(range(strings))


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    orders = {
        tuple(map(tuple, epoch_batches(40, 10, seed, epoch))) for seed in (1, 2) for epoch in (0, 1)
    }
    assert len(orders) == 4
