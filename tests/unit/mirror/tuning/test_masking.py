from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.tuning.masking import (
    Masking,
    mask_pieces,
    mask_span,
    mask_span_as_official,
    mask_words,
    masked_ids,
    masked_text,
)

SENTENCE = "the baker sells a broken lantern near the old bridge"
MASK_ID, START, END = 9, 100, 101


def masking(**changes: object) -> Masking:
    settings = {"length": 2, "min_characters": 1, "token": "<mask>", "seed": 5}
    return Masking(**{**settings, **changes})  # type: ignore[arg-type]


def pieces_masking(**changes: object) -> Masking:
    of_pieces = {"unit": "word-pieces", "token_id": MASK_ID, "special_ids": frozenset((START, END))}
    return masking(**{**of_pieces, **changes})


def assert_uniform(starts: Counter[int], expected: list[int]) -> None:
    """Chi-squared test of 9,000 draws of 9 starts; 26.1 is the 0.1 % critical value."""
    assert sorted(starts) == expected
    assert starts.total() == 9_000
    assert len(expected) == 9
    assert sum((count - 1_000) ** 2 / 1_000 for count in starts.values()) < 26.1


def test_all_spans_of_characters_are_equally_likely() -> None:
    draw = partial(mask_span, "abcdefghij", masking(), random.Random(3))
    assert_uniform(Counter(draw().index("<mask>") for _ in range(9_000)), list(range(9)))


def test_all_spans_of_words_are_equally_likely() -> None:
    draw = partial(mask_words, "a b c d e f g h i j", masking(), random.Random(3))
    assert_uniform(Counter(draw().split().index("<mask>") for _ in range(9_000)), list(range(9)))


def test_all_spans_of_word_pieces_are_equally_likely() -> None:
    ids = [START, *range(10, 20), END]
    draw = partial(mask_pieces, ids, pieces_masking(), random.Random(3))
    assert_uniform(Counter(draw().index(MASK_ID) for _ in range(9_000)), list(range(1, 10)))


def test_the_official_rule_never_draws_the_last_span() -> None:
    draw = partial(mask_span_as_official, "abcdefghijk", masking(), random.Random(3))
    assert_uniform(Counter(draw().index(" [MASK] ") for _ in range(9_000)), list(range(9)))


def test_the_drawn_span_is_masked_even_if_an_earlier_one_has_the_same_text() -> None:
    generator = random.Random(0)
    masked = {mask_span("aaaa", masking(), generator) for _ in range(200)}
    assert masked == {"<mask>aa", "a<mask>a", "aa<mask>"}


def test_the_official_rule_masks_the_first_span_with_the_same_text() -> None:
    generator = random.Random(0)
    drawn = Counter(mask_span_as_official("ababx", masking(), generator) for _ in range(3_000))
    assert set(drawn) == {" [MASK] abx", "a [MASK] bx"}
    # Two of the three starts that can be drawn read "ab"; 3.3 deviations of the binomial.
    assert abs(drawn[" [MASK] abx"] - 2_000) < 3.3 * (3_000 * 2 / 9) ** 0.5


def test_the_official_mask_token_is_the_same_for_every_tokenizer() -> None:
    assert mask_span_as_official("abc", masking(), random.Random(0)) == " [MASK] c"
    official = masking(unit="characters-paper", token="<mask>")
    assert " [MASK] " in masked_text(SENTENCE, 0, 0, official)
    assert "<mask>" not in masked_text(SENTENCE, 0, 0, official)


@pytest.mark.parametrize(("length", "share"), [(5, 0.007), (2, 0.14)])
def test_how_often_the_official_rule_masks_another_span_than_drawn(
    shared: Path, length: int, share: float
) -> None:
    path = shared / "corpora" / "paper" / "stsbenchmark_train_10k_sents_random_sampled.txt"
    sentences = path.read_text(encoding="utf-8").splitlines()
    settings = masking(length=length, min_characters=30)
    generator, missed, masked = random.Random(0), 0, 0
    for text in sentences:
        state = generator.getstate()
        before = mask_span_as_official(text, settings, generator).split(" [MASK] ")[0]
        if before != text:
            generator.setstate(state)
            masked += 1
            missed += generator.randrange(len(text) - length) != len(before)
    assert masked / len(sentences) == pytest.approx(1 - 0.133, abs=1e-3)
    assert missed / masked == pytest.approx(share, rel=0.1)


@given(
    text=st.text(min_size=1, max_size=60),
    length=st.integers(0, 12),
    min_characters=st.integers(1, 40),
    seed=st.integers(),
)
def test_masking_replaces_one_span_of_the_length(
    text: str, length: int, min_characters: int, seed: int
) -> None:
    text = text.replace("<", "").replace("[", "")
    settings = masking(length=length, min_characters=min_characters)
    masked = mask_span(text, settings, random.Random(seed))
    official = mask_span_as_official(text, settings, random.Random(seed))
    if length == 0 or len(text) < min_characters or len(text) <= length:
        assert masked == official == text
        return
    for view, token in ((masked, "<mask>"), (official, " [MASK] ")):
        before, after = view.split(token)
        assert len(before) + length + len(after) == len(text)
        assert text.startswith(before)
        assert text.endswith(after)


@given(
    text=st.text(st.sampled_from("abé \n\t\u3000語"), max_size=40),
    length=st.integers(0, 5),
    seed=st.integers(),
)
def test_each_masked_word_becomes_one_token_and_white_space_stays(
    text: str, length: int, seed: int
) -> None:
    masked = mask_words(text, masking(length=length), random.Random(seed))
    words, masked_words = text.split(), masked.split()
    if length == 0 or len(words) <= length:
        assert masked == text
        return
    assert len(masked_words) == len(words)
    start = masked_words.index("<mask>")
    assert masked_words == [*words[:start], *["<mask>"] * length, *words[start + length :]]
    assert [*filter(str.isspace, masked)] == [*filter(str.isspace, text)]


def test_punctuation_is_masked_with_its_word() -> None:
    views = {mask_words("Yes, no.", masking(length=1), random.Random(seed)) for seed in range(20)}
    assert views == {"<mask> no.", "Yes, <mask>"}


@given(
    pieces=st.lists(st.integers(10, 30), max_size=30),
    length=st.integers(0, 8),
    seed=st.integers(),
)
def test_each_masked_piece_becomes_one_token_and_special_tokens_stay(
    pieces: list[int], length: int, seed: int
) -> None:
    ids = [START, *pieces, END, END]
    masked = mask_pieces(ids, pieces_masking(length=length), random.Random(seed))
    if length == 0 or len(pieces) <= length:
        assert masked == ids
        return
    start = masked.index(MASK_ID)
    assert masked == [*ids[:start], *[MASK_ID] * length, *ids[start + length :]]
    assert 1 <= start <= 1 + len(pieces) - length


def test_a_span_of_pieces_never_contains_a_special_token() -> None:
    ids = [START, 11, 12, END, 13, 14, 15, END]
    views = {tuple(mask_pieces(ids, pieces_masking(), random.Random(seed))) for seed in range(60)}
    assert views == {
        (START, 9, 9, END, 13, 14, 15, END),
        (START, 11, 12, END, 9, 9, 15, END),
        (START, 11, 12, END, 13, 9, 9, END),
    }
    apart = [START, 11, END, 12, END, 13, END]
    assert mask_pieces(apart, pieces_masking(), random.Random(0)) == apart


@pytest.mark.parametrize("unit", ["characters", "characters-paper", "words"])
def test_strings_below_min_characters_are_not_masked(unit: str) -> None:
    settings = masking(unit=unit, min_characters=30)
    short, long = "four words are here, not five", "four words are here, not five."
    assert (len(short), len(long)) == (29, 30)
    assert masked_text(short, 0, 0, settings) == short
    assert masked_text(long, 0, 0, settings) != long


def test_pieces_of_strings_below_min_characters_are_not_masked() -> None:
    ids, settings = [START, 11, 12, 13, END], pieces_masking(min_characters=30)
    assert masked_ids(ids, "x" * 29, 0, 0, settings) == ids
    assert masked_ids(ids, "x" * 30, 0, 0, settings).count(MASK_ID) == 2


def test_masked_ids_does_not_change_its_argument() -> None:
    ids = [START, 11, 12, 13, END]
    masked_ids(ids, SENTENCE, 0, 0, pieces_masking())
    assert ids == [START, 11, 12, 13, END]


@pytest.mark.parametrize("unit", ["characters", "characters-paper", "words", "word-pieces"])
def test_a_view_depends_only_on_seed_epoch_and_index(unit: str) -> None:
    def view(index: int, epoch: int, seed: int = 5) -> object:
        if unit == "word-pieces":
            ids = [START, *range(10, 50), END]
            return tuple(masked_ids(ids, SENTENCE, index, epoch, pieces_masking(seed=seed)))
        return masked_text(SENTENCE, index, epoch, masking(unit=unit, seed=seed, length=1))

    random.seed(1)
    once = view(7, 0)
    random.seed(2)
    assert view(7, 0) == once
    assert len({view(index, epoch) for index in range(9) for epoch in range(3)}) > 7
    assert len({view(7, 0, seed) for seed in range(20)}) > 5


def test_views_are_the_same_in_all_versions() -> None:
    assert masked_text("abcdefghij", 3, 1, masking()) == "abcdef<mask>ij"
    official = masking(unit="characters-paper")
    assert masked_text("abcdefghij", 3, 1, official) == "abcdef [MASK] ij"
    assert masked_text("a b c d e", 3, 1, masking(unit="words")) == "a b c <mask> <mask>"
    ids = [START, *range(10, 18), END]
    expected = [START, 10, 11, 12, MASK_ID, MASK_ID, 15, 16, 17, END]
    assert masked_ids(ids, SENTENCE, 3, 1, pieces_masking()) == expected


def test_the_function_of_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="masked_ids"):
        masked_text(SENTENCE, 0, 0, pieces_masking())
    with pytest.raises(ValueError, match="masked_text"):
        masked_ids([START, 11, 12, END], SENTENCE, 0, 0, masking(unit="words"))
    with pytest.raises(ValueError, match="needs `token_id`"):
        masked_ids([START, 11, 12, 13, END], SENTENCE, 0, 0, pieces_masking(token_id=None))
