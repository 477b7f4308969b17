"""Truncation of texts by an encoder: which part is read, and how many texts are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror.encoders.encoder import Encoder

LONG = 1 << 16
CHARACTERS_PER_TOKEN = 64
"""Characters that are looked at of a text, at least and for each token that an encoder reads."""


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


class LongTextEncoder:
    """An encoder that tokenizes only the beginning of texts that are far longer than it reads.

    A tokenizer needs about 150 bytes for each character, and truncates afterwards.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._length = max(LONG, CHARACTERS_PER_TOKEN * encoder.settings.max_tokens)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._encoder.dimension

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the same vectors (texts, dimension) as the encoder."""
        return self._encoder.encode([self._beginning(text) for text in texts])

    def count_truncated(self, texts: Sequence[str]) -> int:
        """Return how many texts have more tokens than the encoder reads."""
        return count_truncated(self._encoder, [self._beginning(text) for text in texts])

    def _beginning(self, text: str) -> str:
        """Return twice as many characters as give all tokens that are read, or all of the text."""
        if len(text) <= 2 * self._length:
            return text
        # The other half keeps the last of these tokens away from the cut.
        fills = count_truncated(self._encoder, [text[: self._length]])
        return text[: 2 * self._length] if fills else text
