"""Two views of each item in a batch, as token ids; the second may be masked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.prompt import PromptTokens, read_prompt_tokens
from mirror.encoders.truncation import read_characters
from mirror.errors import TokenizerError, TuningError
from mirror.tuning.duplicates import equal_text_ids, near_duplicate_ids
from mirror.tuning.items import Item, ViewPair, view_pair
from mirror.tuning.masking import Masking, masked_ids, masked_text
from mirror.tuning_config import TuningSection

log = logging.getLogger(__name__)

CHECKED_ITEMS = 1_000
MANY_FULL = 0.1
MOST_WITHOUT_NEGATIVES = 25
"""Batches without negatives, one after the other, after which tuning ends."""


@dataclass(frozen=True)
class Batch:
    """The items of one training step, as token ids."""

    first: list[list[int]]
    second: list[list[int]]
    """Masked views."""
    text_ids: torch.Tensor | None
    """(items,), equal for items that share a text or a near duplicate; None where such items count
    as negatives."""
    masked_count: int
    """Items whose second text was changed by masking, after truncation."""
    full_count: int
    """Items whose first text fills all tokens that tuning reads, so it is probably truncated."""


class Views:
    """Views of items, in batches; they depend only on the seed, the epoch and the item's index."""

    def __init__(
        self, settings: TuningSection, items: Sequence[Item], encoder: Encoder, base: Path
    ) -> None:
        self._settings = settings
        self._items = items
        self._encoder = encoder
        self._masking = _masking(settings, encoder, base)
        self._without_negatives = 0
        # Without a prompt only the counts matter: one special token before the text, one after.
        backend = encoder.tokenizer.backend_tokenizer
        self._prompt = read_prompt_tokens(backend) or PromptTokens((0,), (0,))
        self._unmasked = len(self._prompt.before) + encoder.prefix_tokens

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Return both views of the items at `indices`.

        Raises:
            TuningError: this and many batches before it have no negatives.
        """
        pairs = [view_pair(self._items[i], i, epoch, self._settings) for i in indices]
        first = self._encoder.token_ids([pair.first for pair in pairs])
        second = self._encoder.token_ids([pair.second for pair in pairs])
        text_ids = self._text_ids(first, second)
        self._check_negatives(text_ids)
        masked = self._masked(pairs, second, indices, epoch)
        masked_count = sum(plain != view for plain, view in zip(second, masked, strict=True))
        full_count = sum(map(self._is_full, first))
        return Batch(first, masked, text_ids, masked_count, full_count)

    def warn_if_full(self) -> None:
        """Warn if many of the first items' texts fill all tokens that tuning reads."""
        count = min(len(self._items), CHECKED_ITEMS)
        pairs = [view_pair(self._items[i], i, 0, self._settings) for i in range(count)]
        rows = self._encoder.token_ids([pair.first for pair in pairs])
        if (share := sum(map(self._is_full, rows)) / count) >= MANY_FULL:
            log.warning(
                "%.0f%% of the first %s texts to tune on fill all of the %s tokens that are read, "
                "and are truncated if they are longer: raise tuning.max_tokens, or split them",
                100 * share,
                f"{count:,}",
                self._settings.max_tokens,
            )

    def _text_ids(self, first: list[list[int]], second: list[list[int]]) -> torch.Tensor | None:
        """Return the items' `text_ids`, given both views' ids before masking."""
        if self._settings.duplicates == "negatives":
            return None
        numbers = equal_text_ids(first, second)
        if (similarity := self._settings.near_duplicates) is not None:
            one, other = ([self._own_tokens(row) for row in rows] for rows in (first, second))
            numbers = near_duplicate_ids(numbers, one, other, similarity)
        return torch.tensor(numbers)

    def _check_negatives(self, text_ids: torch.Tensor | None) -> None:
        """Raise TuningError after many batches whose items all share texts or near duplicates."""
        has_negatives = text_ids is None or bool((text_ids != text_ids[0]).any())
        self._without_negatives = 0 if has_negatives else self._without_negatives + 1
        if self._without_negatives == MOST_WITHOUT_NEGATIVES:
            raise TuningError(
                f"{MOST_WITHOUT_NEGATIVES} batches had no negatives, since their texts are all "
                "equal or near duplicates: give different texts, or raise tuning.near_duplicates"
            )

    def _own_tokens(self, ids: list[int]) -> set[int]:
        """Return the text's token ids, without the prompt's and special ones."""
        return set(ids[self._own_slice(ids)]) - self._masking.special_ids

    def _own_slice(self, ids: list[int]) -> slice:
        """Return where the text's own tokens are among those of the prompt."""
        return slice(self._unmasked, len(ids) - len(self._prompt.after))

    def _masked(
        self,
        pairs: Sequence[ViewPair],
        rows: list[list[int]],
        indices: Sequence[int],
        epoch: int,
    ) -> list[list[int]]:
        """Return the rows of ids of the second views, with a span of those to be masked masked."""
        masking = self._masking
        chosen = [number for number, pair in enumerate(pairs) if pair.masked]
        if masking.unit == "word-pieces":
            masked = [
                self._mask_pieces(rows[n], pairs[n].second, indices[n], epoch) for n in chosen
            ]
        else:
            masked = self._encoder.token_ids(
                [self._mask_text(rows[n], pairs[n].second, indices[n], epoch) for n in chosen]
            )
        by_number = dict(zip(chosen, masked, strict=True))
        return [by_number.get(number, row) for number, row in enumerate(rows)]

    def _mask_text(self, ids: list[int], text: str, index: int, epoch: int) -> str:
        """Mask a span of what is read of a text; of the whole text as the official code does."""
        masking = self._masking
        is_masked = len(text) >= masking.min_characters
        if masking.unit == "characters-paper" or not is_masked or not self._is_full(ids):
            return masked_text(text, index, epoch, masking)
        end = read_characters(self._encoder, text)
        masking = replace(masking, min_characters=0)
        return masked_text(text[:end], index, epoch, masking) + text[end:]

    def _is_full(self, ids: Sequence[int]) -> bool:
        return len(ids) >= self._encoder.settings.max_tokens

    def _mask_pieces(self, ids: list[int], text: str, index: int, epoch: int) -> list[int]:
        """Mask a span of the text's word pieces, never of a prompt's."""
        own = self._own_slice(ids)
        masked = masked_ids(ids[own], text, index, epoch, self._masking)
        return [*ids[: own.start], *masked, *ids[own.stop :]]


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
