"""Cutting a batch into slices of like length, so that next to nothing is computed on padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are encoded together."""

    ids: Tensor
    """(rows, tokens), padded."""
    mask: Tensor
    """(rows, tokens), 1 for a token and 0 for padding."""
    rows: list[int]
    """Which rows of the batch these are."""


def bucket_by_length(lengths: Sequence[int], max_tokens: int, max_padding: int) -> list[list[int]]:
    """Cuts items, sorted by length, into slices that are encoded together.

    A slice ends where one more item would take it past either bound; an item longer than
    `max_tokens` has a slice of its own.  Items of equal length keep their order.

    Args:
        lengths: tokens of each item.
        max_tokens: tokens in a slice, padding included.
        max_padding: tokens of padding in a slice.

    Returns:
        Indices into `lengths`, longest slice first, each exactly once.
    """
    slices: list[list[int]] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        gap = longest - lengths[index]
        rows = len(slices[-1]) + 1 if slices else 0
        if slices and rows * longest <= max_tokens and padding + gap <= max_padding:
            slices[-1].append(index)
            padding += gap
        else:
            slices.append([index])
            longest, padding = lengths[index], 0
    return slices
