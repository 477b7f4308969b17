"""How much of a text is read, and how many texts are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirror.encoders import truncation
from mirror.encoders.encoder import Encoder
from mirror.encoders.truncation import LongTextEncoder, count_truncated, read_characters


@pytest.fixture
def encoder(tiny_base: Path) -> Encoder:
    return Encoder.load(tiny_base, "mean", 8)


def test_texts_with_more_tokens_than_are_read_are_counted(encoder: Encoder) -> None:
    fits = "the old red bridge near the"
    assert len(encoder.token_ids([fits])[0]) == 8
    assert count_truncated(encoder, [fits, f"{fits} market", "", "the " * 99]) == 2
    assert count_truncated(encoder, []) == count_truncated(encoder, ["", fits]) == 0


def test_the_default_prompt_counts(encoder: Encoder) -> None:
    encoder.settings = replace(
        encoder.settings, prompts={"query": "the old "}, default_prompt="query"
    )
    assert count_truncated(encoder, ["red bridge near the", "red bridge near the market"]) == 1
    assert read_characters(encoder, "red bridge near the market") == len("red bridge near the")


def test_the_part_that_is_read_ends_with_a_token(encoder: Encoder) -> None:
    assert read_characters(encoder, "the old red bridge near the market") == 27
    assert read_characters(encoder, "the mirror") == 10


def test_only_the_beginning_of_a_far_longer_text_is_tokenized(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces = f"the old{' ' * 2_000}red bridge"
    texts = ["the old red bridge " * 500, "the", f"{spaces} near the market", spaces]
    vectors, count = encoder.encode(texts), count_truncated(encoder, texts)
    tokenized: list[str] = []
    token_ids = encoder.token_ids
    monkeypatch.setattr(
        encoder, "token_ids", lambda given: tokenized.extend(given) or token_ids(given)
    )
    monkeypatch.setattr(truncation, "LONG", 100)
    reading = LongTextEncoder(encoder)
    np.testing.assert_array_equal(reading.encode(texts), vectors)
    # 64 characters for each of 8 tokens, twice; runs of spaces have no tokens.
    assert [len(text) for text in tokenized] == [1_024, *map(len, texts[1:])]
    assert reading.count_truncated(texts) == count == 2
    assert reading.dimension == encoder.dimension
