"""Which strings stand beside each other in a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def batch_count(strings: int, batch_size: int) -> int:
    """Whole batches in one epoch; what is left over is not seen in that epoch."""
    return strings // batch_size


def epoch_batches(strings: int, batch_size: int, seed: int, epoch: int) -> Iterator[Sequence[int]]:
    """Indices of the strings of each batch of an epoch, shuffled anew for every epoch."""
    order = list(range(strings))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    for batch in range(batch_count(strings, batch_size)):
        yield order[batch * batch_size : (batch + 1) * batch_size]
