"""Encoder that counts the benchmarks' texts, and those that are longer than what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder


class CountingEncoder:
    """An encoder that counts what it encodes."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._texts = self._cut = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (texts, dimension)."""
        from mirror.encoders.truncation import count_truncated

        self._texts += len(texts)
        self._cut += count_truncated(self._encoder, texts)
        return self._encoder.encode(texts)

    def counts(self) -> dict[str, int]:
        """Return how many texts were encoded, and how many of them were cut."""
        return {"texts": self._texts, "cut": self._cut}
