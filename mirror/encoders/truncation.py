"""Truncation of texts by an encoder: which part is read, and how many texts are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirror.encoders.encoder import Encoder


def read_characters(encoder: Encoder, text: str) -> int:
    """Return how many of a text's first characters an encoder reads."""
    options: dict[str, Any] = {"truncation": True, "max_length": encoder.settings.max_tokens}
    prefix = encoder.settings.prefix
    encoded = encoder.tokenizer(prefix + text, return_offsets_mapping=True, **options)
    ends = [int(end) for _, end in encoded["offset_mapping"]]
    return max(0, max(ends) - len(prefix))


def count_truncated(encoder: Encoder, texts: Sequence[str]) -> int:
    """Return how many texts have more tokens than an encoder reads."""
    longest, prefix = encoder.settings.max_tokens, encoder.settings.prefix
    around = len(encoder.tokenizer("")["input_ids"])
    # A token has a byte or more, so that short texts need not be tokenized.
    long = [prefix + text for text in texts if len((prefix + text).encode()) + around > longest]
    rows = encoder.tokenizer(long, truncation=False, verbose=False)["input_ids"] if long else []
    return sum(len(row) > longest for row in rows)
