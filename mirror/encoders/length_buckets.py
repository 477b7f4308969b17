"""Length buckets: micro-batches of rows of similar length, with hardly any padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are encoded together, padded to one length."""

    ids: Tensor
    """(rows, tokens), padded."""
    mask: Tensor
    """(rows, tokens), 1 for a token and 0 for padding."""
    rows: list[int]
    """Their indices in the batch."""


def bucket_by_length(lengths: Sequence[int], max_tokens: int, max_padding: int) -> list[list[int]]:
    """Return buckets of items that are encoded together, sorted by length.

    A bucket ends where one more item would exceed either limit; an item longer than `max_tokens`
    gets a bucket of its own.  Items of equal length keep their order.

    Args:
        lengths: tokens of each item.
        max_tokens: tokens in a bucket, padding included.
        max_padding: tokens of padding in a bucket.

    Returns:
        Indices into `lengths`, longest bucket first, each exactly once.
    """
    buckets: list[list[int]] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        gap = longest - lengths[index]
        rows = len(buckets[-1]) + 1 if buckets else 0
        if buckets and rows * longest <= max_tokens and padding + gap <= max_padding:
            buckets[-1].append(index)
            padding += gap
        else:
            buckets.append([index])
            longest, padding = lengths[index], 0
    return buckets
