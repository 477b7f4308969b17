"""Which strings stand beside each other in a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def batch_count(strings: int, batch_size: int) -> int:
    """Whole batches in one epoch; what is left over is not seen in that epoch."""
    return strings // batch_size


def epoch_batches(
    strings: int, batch_size: int, seed: int, epoch: int, lengths: Sequence[int] | None = None
) -> Iterator[Sequence[int]]:
    """Indices of the strings of each batch of an epoch, shuffled anew for every epoch.

    With `lengths`, one for each string, batches are of like length: what is left over is left out
    first, so that it is not always the longest, and the batches are then taken in random order.
    """
    order = list(range(strings))
    generator = random.Random(f"order {seed} {epoch}")
    generator.shuffle(order)
    count = batch_count(strings, batch_size)
    numbers = list(range(count))
    if lengths is not None:
        order = sorted(order[: count * batch_size], key=lambda index: lengths[index])
        generator.shuffle(numbers)
    for number in numbers:
        yield order[number * batch_size : (number + 1) * batch_size]
