"""Two views of each string in a batch, as token ids: plain and masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.prompt import PromptTokens, read_prompt_tokens
from mirror.errors import TokenizerError
from mirror.tuning.masking import Masking, masked_ids, masked_text
from mirror.tuning_config import TuningSection


@dataclass(frozen=True)
class TextPair:
    """Two texts that mean the same; a string paired with itself has one text twice."""

    first: str
    second: str


@dataclass(frozen=True)
class Batch:
    """The items of one training step, as token ids."""

    first: list[list[int]]
    second: list[list[int]]
    """Masked views."""
    text_ids: torch.Tensor | None
    """(items,), equal for items that share a text; None where such items count as negatives."""
    masked_count: int
    """Items whose second text was changed by masking, after truncation."""


def read_items(strings: Path | None, pairs: Path | None = None) -> list[TextPair]:
    """Return a sample's strings, each paired with itself, followed by labelled pairs.

    Args:
        strings: Parquet with the column `text`.
        pairs: Parquet with the columns `first` and `second`.
    """
    items = []
    if strings is not None:
        texts = pq.read_table(strings, columns=["text"])["text"].to_pylist()
        items = [TextPair(text, text) for text in texts]
    if pairs is not None:
        table = pq.read_table(pairs, columns=["first", "second"])
        columns = (table[name].to_pylist() for name in table.column_names)
        items.extend(TextPair(*texts) for texts in zip(*columns, strict=True))
    return items


class Views:
    """Views of items, in batches; masks depend only on the seed, the epoch and the item's index."""

    def __init__(
        self, settings: TuningSection, items: Sequence[TextPair], encoder: Encoder, base: Path
    ) -> None:
        self._items = items
        self._encoder = encoder
        self._masking = _masking(settings, encoder, base)
        # Without a prompt only the counts matter: one special token before the text, one after.
        backend = encoder.tokenizer.backend_tokenizer
        self._prompt = read_prompt_tokens(backend) or PromptTokens((0,), (0,))
        self._unmasked = len(self._prompt.before) + encoder.prefix_tokens
        self._mask_duplicates = settings.duplicates == "mask"

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Return both views of the items at `indices`."""
        masking = self._masking
        items = [self._items[index] for index in indices]
        first = self._encoder.token_ids([item.first for item in items])
        second = self._encoder.token_ids([item.second for item in items])
        text_ids = torch.tensor(_text_ids(first, second)) if self._mask_duplicates else None
        if masking.unit == "word-pieces":
            masked = [
                self._mask_pieces(ids, index, epoch)
                for ids, index in zip(second, indices, strict=True)
            ]
        else:
            masked = self._encoder.token_ids(
                [
                    masked_text(item.second, index, epoch, masking)
                    for item, index in zip(items, indices, strict=True)
                ]
            )
        masked_count = sum(plain != view for plain, view in zip(second, masked, strict=True))
        return Batch(first, masked, text_ids, masked_count)

    def _mask_pieces(self, ids: list[int], index: int, epoch: int) -> list[int]:
        """Mask a span of the text's word pieces, never of a prompt's."""
        start, end = self._unmasked, len(ids) - len(self._prompt.after)
        text = self._items[index].second
        masked = masked_ids(ids[start:end], text, index, epoch, self._masking)
        return [*ids[:start], *masked, *ids[end:]]


def _text_ids(first: Sequence[list[int]], second: Sequence[list[int]]) -> list[int]:
    """Number the items; items that share a text, directly or through others, get one number."""
    numbers = list(range(len(first)))
    seen: dict[tuple[int, ...], int] = {}
    for item, texts in enumerate(zip(first, second, strict=True)):
        for text in texts:
            other = numbers[seen.setdefault(tuple(text), item)]
            low, high = sorted((numbers[item], other))
            if low != high:
                numbers = [low if number == high else number for number in numbers]
    return numbers


def _masking(settings: TuningSection, encoder: Encoder, base: Path) -> Masking:
    tokenizer = encoder.tokenizer
    if settings.needs_mask_token and tokenizer.mask_token is None:
        raise TokenizerError(
            f"the tokenizer in {base} has no mask token: choose a masked language model, or set "
            "tuning.mask_length to 0"
        )
    return Masking(
        unit=settings.masking,
        length=settings.mask_length,
        min_characters=settings.mask_min_characters,
        token=str(tokenizer.mask_token),
        token_id=tokenizer.mask_token_id,
        special_ids=frozenset(tokenizer.all_special_ids),
        seed=settings.seed,
    )
