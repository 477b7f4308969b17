"""The two views of each string in a batch, as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.prompt import PromptTokens, read_marks
from mirror.errors import TokenizerError
from mirror.tuning.distillation import Taught
from mirror.tuning.masking import Masking, masked_ids, masked_text
from mirror.tuning_config import TuningSection


@dataclass(frozen=True)
class TextPair:
    """Two texts that mean the same; a string paired with itself has one text twice."""

    first: str
    second: str


@dataclass(frozen=True)
class Batch:
    """One step's strings, as token ids."""

    first: list[list[int]]
    second: list[list[int]]
    """The masked side."""
    names: torch.Tensor | None
    """(items,), equal where items share a text; nothing where they count as negatives all the
    same."""
    masked: int
    """Items whose second side reads otherwise for its mask; one that was cut off does not count."""
    taught: Taught | None = None
    """What a teacher makes of the items, where there is one."""


class Views:
    """Makes batches: masks follow from the seed, the epoch and the item's index alone."""

    def __init__(
        self, settings: TuningSection, items: Sequence[TextPair], encoder: Encoder, base: Path
    ) -> None:
        self._items = items
        self._encoder = encoder
        self._masking = _masking(settings, encoder, base)
        # Without a prompt there is one mark before and one after, and which ones is all the same.
        self._marks = read_marks(encoder.tokenizer.backend_tokenizer) or PromptTokens((0,), (0,))
        self._named = settings.duplicates == "mask"

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Both views of the items at `indices`."""
        masking = self._masking
        items = [self._items[index] for index in indices]
        first = self._encoder.token_ids([item.first for item in items])
        second = self._encoder.token_ids([item.second for item in items])
        names = torch.tensor(_shared_names(first, second)) if self._named else None
        if masking.unit == "word-pieces":
            masked = [
                self._masked(row, index, epoch) for row, index in zip(second, indices, strict=True)
            ]
        else:
            masked = self._encoder.token_ids(
                [
                    masked_text(item.second, index, epoch, masking)
                    for item, index in zip(items, indices, strict=True)
                ]
            )
        changed = sum(plain != view for plain, view in zip(second, masked, strict=True))
        return Batch(first, masked, names, changed)

    def _masked(self, row: list[int], index: int, epoch: int) -> list[int]:
        """The row with a run of the text's own word pieces masked, never of a prompt's."""
        start, end = len(self._marks.before), len(row) - len(self._marks.after)
        text = self._items[index].second
        own = masked_ids(row[start:end], text, index, epoch, self._masking)
        return [*row[:start], *own, *row[end:]]


def _shared_names(first: Sequence[list[int]], second: Sequence[list[int]]) -> list[int]:
    """A number for each item, the same for items that share a text, directly or through others."""
    names = list(range(len(first)))
    seen: dict[tuple[int, ...], int] = {}
    for number, sides in enumerate(zip(first, second, strict=True)):
        for side in sides:
            other = names[seen.setdefault(tuple(side), number)]
            least, most = sorted((names[number], other))
            if least != most:
                names = [least if name == most else name for name in names]
    return names


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
