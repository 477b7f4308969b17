from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder import Encoder
from mirror.tuning.items import DocumentItem, TextPair
from mirror.tuning.masking import Masking, masked_text
from mirror.tuning.views import Batch, Views
from tests.fixtures.tuning import short_tuning


@pytest.fixture
def encoder(tiny_base: Path) -> Encoder:
    return Encoder.load(tiny_base, "mean", 20)


def views(encoder: Encoder, texts: list[str | tuple[str, str]], **changes: Any) -> Views:
    pairs = [text if isinstance(text, tuple) else (text, text) for text in texts]
    return Views(
        short_tuning(**changes), [TextPair(*pair) for pair in pairs], encoder, Path("base")
    )


def ids_of(batch: Batch) -> list[int]:
    assert batch.text_ids is not None
    ids: list[int] = batch.text_ids.tolist()
    return ids


def test_only_the_second_view_is_masked(encoder: Encoder, sentences: list[str]) -> None:
    batch = views(encoder, sentences).batch(range(40), 0)
    mask = encoder.tokenizer.mask_token_id
    assert all(row.count(mask) == 1 for row in batch.second)
    assert batch.first == encoder.token_ids(sentences[:40])
    assert batch.masked_count == 40
    assert ids_of(batch) == list(range(40))


def test_masks_of_an_item_depend_only_on_its_index_and_the_epoch(
    encoder: Encoder, sentences: list[str]
) -> None:
    batches = views(encoder, sentences)
    single = batches.batch([7], 1).second[0]
    assert single in batches.batch([3, 7, 9], 1).second
    assert batches.batch([7], 2).second[0] != single


@pytest.mark.parametrize(("masking", "masks"), [("words", 2), ("word-pieces", 2)])
def test_mask_length_counts_words_or_word_pieces(
    masking: str, masks: int, encoder: Encoder, sentences: list[str]
) -> None:
    batch = views(encoder, sentences, masking=masking, mask_length=2).batch(range(30), 0)
    mask = encoder.tokenizer.mask_token_id
    assert {row.count(mask) for row in batch.second} == {masks}
    if masking == "word-pieces":
        assert [len(row) for row in batch.first] == [len(row) for row in batch.second]
        assert all(row[0] != mask != row[-1] for row in batch.second)


def test_items_connected_by_equal_texts_share_an_id(encoder: Encoder, sentences: list[str]) -> None:
    a, b, c, d, e = sentences[:5]
    texts = [a, b, a.upper(), (c, b), (d, c), e, (e, a)]
    batch = views(encoder, texts).batch(range(7), 0)
    assert ids_of(batch) == [0, 1, 0, 1, 1, 0, 0]


def test_with_duplicates_as_negatives_there_are_no_text_ids(
    encoder: Encoder, sentences: list[str]
) -> None:
    batches = views(encoder, [sentences[0]] * 4, duplicates="negatives")
    assert batches.batch(range(4), 0).text_ids is None


def test_near_duplicates_share_an_id(encoder: Encoder, sentences: list[str]) -> None:
    a, b, c = sentences[:3]
    texts = [a, b, f"{a} lantern", (c, f"{b} lantern"), c, sentences[3]]
    batch = views(encoder, texts, near_duplicates=0.6).batch(range(6), 0)
    assert ids_of(batch) == [0, 1, 0, 1, 1, 5]
    batch = views(encoder, texts, near_duplicates=1.0).batch(range(6), 0)
    assert ids_of(batch) == [0, 1, 2, 3, 3, 5]


def test_a_prompt_makes_no_near_duplicates(tiny_base: Path, sentences: list[str]) -> None:
    encoder = Encoder.load(
        tiny_base, "mean", 60, prompt=f"{sentences[0]} : {{text}} {sentences[1]}"
    )
    batch = views(encoder, sentences[2:12], near_duplicates=0.5).batch(range(10), 0)
    plain = [set(row) for row in batch.first]
    assert all(len(one & other) / len(one | other) > 0.5 for one in plain for other in plain)
    assert ids_of(batch) == list(range(10))


def test_the_texts_of_a_labelled_pair_are_not_swapped(
    encoder: Encoder, sentences: list[str]
) -> None:
    pairs = list(zip(sentences[:10], sentences[10:20], strict=True))
    batch = views(encoder, pairs, mask_length=0).batch(range(10), 0)
    assert batch.first == encoder.token_ids(sentences[:10])
    assert batch.second == encoder.token_ids(sentences[10:20])
    assert batch.masked_count == 0


@pytest.mark.parametrize("masking", ["characters", "words", "word-pieces"])
def test_masks_are_in_the_part_of_a_text_that_is_read(
    encoder: Encoder, sentences: list[str], masking: str
) -> None:
    encoder.settings = replace(encoder.settings, max_tokens=8)
    texts = [" ".join(sentences[n : n + 9]) for n in range(40)]
    batch = views(encoder, texts, masking=masking, mask_length=2).batch(range(40), 0)
    assert (batch.masked_count, batch.full_count) == (40, 40)
    # The rest of a word may have more pieces than the word, which moves a mask behind the cut.
    assert sum(encoder.tokenizer.mask_token_id in row for row in batch.second) > 24


def test_a_mask_in_a_text_that_is_read_whole_is_where_it_was(
    encoder: Encoder, sentences: list[str]
) -> None:
    batch = views(encoder, sentences).batch(range(40), 0)
    assert batch.full_count == 0
    masking = Masking(length=5, min_characters=30, token="[MASK]", seed=42)
    expected = [masked_text(text, index, 0, masking) for index, text in enumerate(sentences[:40])]
    assert batch.second == encoder.token_ids(expected)


def test_sections_under_equal_headings_are_not_each_others_negatives(
    encoder: Encoder, sentences: list[str]
) -> None:
    settings = short_tuning(views="titles", mask_length=0)
    titles = ["Usage", sentences[0], "Usage"]
    items = [
        DocumentItem((body,), title, body)
        for title, body in zip(titles, sentences[1:4], strict=True)
    ]
    batch = Views(settings, items, encoder, Path("base")).batch(range(3), 0)
    assert ids_of(batch) == [0, 1, 0]
