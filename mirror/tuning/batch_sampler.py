"""Batch sampler: the strings of each batch of an epoch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from mirror.errors import SampleError
from mirror.tuning.duplicates import check_negatives
from mirror.tuning.items import Item
from mirror.tuning_config import TuningSection


def check_batch(items: Sequence[Item], settings: TuningSection, validated_on: int = 0) -> None:
    """Raise SampleError if different items do not fill a batch, or it has no negatives.

    Args:
        items: strings, pairs and documents that are tuned on.
        settings: a recipe's `[tuning]`.
        validated_on: documents that are not tuned on, for the error.
    """
    batch_size = settings.batch_size
    if (different := len(set(items))) < batch_size:
        without = f" without {validated_on} for validation" if validated_on else ""
        unit = "documents" if validated_on else "strings"
        raise SampleError(
            f"the sample holds {different} different {unit}{without} and a batch takes "
            f"{batch_size}: give it more text, or lower tuning.batch_size"
        )
    check_negatives(items, settings)


def batch_count(strings: int, batch_size: int) -> int:
    """Return the number of whole batches in an epoch; strings left over are not used in it."""
    return strings // batch_size


def epoch_batches(
    strings: int, batch_size: int, seed: int, epoch: int, lengths: Sequence[int] | None = None
) -> Iterator[Sequence[int]]:
    """Yield the indices of the strings of each batch, shuffled anew for every epoch.

    With `lengths`, one for each string, a batch's strings are of similar length and the batches
    come in random order.  Strings left over are dropped before sorting, so that these are not
    always the longest.
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
