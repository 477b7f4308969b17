"""Positive pairs: a string beside itself, one side with a run of characters masked.

Which side is masked does not matter, because the loss is symmetric: it is always the second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Masking:
    """How one side of a pair is masked."""

    length: int
    """k of the paper: characters in the masked run; 0 for none."""
    min_characters: int
    """Strings shorter than this are left alone."""
    token: str
    """The tokenizer's own mask token."""
    seed: int


def mask_span(text: str, masking: Masking, generator: random.Random) -> str:
    """The text with one run of characters replaced by the mask token.

    Every run is as likely as any other, the last one included.  The official code draws one run
    but masks the first that reads the same, never draws the last, and adds spaces (paper.md,
    part 3, no. 6); this does none of it.  A text too short for any masking comes back unchanged,
    and so does one that would be masked whole.
    """
    if not masking.length or len(text) < masking.min_characters or len(text) <= masking.length:
        return text
    start = generator.randrange(len(text) - masking.length + 1)
    return text[:start] + masking.token + text[start + masking.length :]


def masked_view(text: str, index: int, epoch: int, masking: Masking) -> str:
    """The second side of a string's pair, decided by seed, epoch and the string's index alone."""
    generator = random.Random(f"mask {masking.seed} {epoch} {index}")
    return mask_span(text, masking, generator)


def batch_count(strings: int, batch_size: int) -> int:
    """Whole batches in one epoch; what is left over is not seen in that epoch."""
    return strings // batch_size


def epoch_batches(strings: int, batch_size: int, seed: int, epoch: int) -> Iterator[Sequence[int]]:
    """Indices of the strings of each batch of an epoch, shuffled anew for every epoch."""
    order = list(range(strings))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    for batch in range(batch_count(strings, batch_size)):
        yield order[batch * batch_size : (batch + 1) * batch_size]
