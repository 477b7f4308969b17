"""Equal and nearly equal texts of a batch, which are never each other's negatives."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from mirror.errors import SampleError
from mirror.shared_texts import MOST, find_shared_texts
from mirror.tuning.items import Item, TextPair
from mirror.tuning_config import TuningSection

log = logging.getLogger(__name__)


def check_negatives(items: Sequence[Item], settings: TuningSection) -> None:
    """Check that a batch has negatives; warn if most items share a text."""
    shared = find_shared_texts([_fixed_texts(item, settings) for item in items])
    if shared.items < 2 or shared.largest_share <= MOST:
        return
    found = f"{shared.describe('texts and pairs to tune on')}, so"
    are_fixed = set(settings.views) == {"titles"} or all(isinstance(i, TextPair) for i in items)
    if settings.duplicates == "mask" and are_fixed and shared.lacks_negatives(settings.batch_size):
        raise SampleError(
            f"{found} they are no negatives of each other and there is nothing to learn: give "
            "different texts, or name other columns of titles or pairs"
        )
    effect = "no negatives" if settings.duplicates == "mask" else "negatives of equal texts"
    log.warning(
        "%s they are %s of each other: check the columns of titles and pairs", found, effect
    )


def _fixed_texts(item: Item, settings: TuningSection) -> tuple[str, ...]:
    """Return the texts that an item has in every epoch, or whenever its title is a view."""
    if isinstance(item, TextPair):
        return (item.first, item.second)
    if "titles" in settings.views and item.title:
        return (item.title, item.body)
    return item.sentences if len(item.sentences) == 1 else ()


def equal_text_ids(first: Sequence[list[int]], second: Sequence[list[int]]) -> list[int]:
    """Number the items; items that share a text, directly or through others, get one number.

    Args:
        first: token ids of each item's first text.
        second: of its second text, unmasked.
    """
    numbers = list(range(len(first)))
    seen: dict[tuple[int, ...], int] = {}
    for item, texts in enumerate(zip(first, second, strict=True)):
        for text in texts:
            other = numbers[seen.setdefault(tuple(text), item)]
            low, high = sorted((numbers[item], other))
            if low != high:
                numbers = [low if number == high else number for number in numbers]
    return numbers


def near_duplicate_ids(
    text_ids: Sequence[int],
    first: Sequence[Collection[int]],
    second: Sequence[Collection[int]],
    similarity: float,
) -> list[int]:
    """Give one number to items that share a near duplicate too, directly or through others.

    Args:
        text_ids: numbers of the items; see `equal_text_ids`.
        first: token ids of each item's first text, without special tokens; a text without any is
            no near duplicate.
        second: of its second text, unmasked.
        similarity: Jaccard similarity of two texts' sets of ids from which they are near
            duplicates.
    """
    count = len(text_ids)
    numbers: dict[frozenset[int], int] = {}
    edges = list(enumerate(text_ids))  # of a graph of the items, and the sets after them
    for texts in (first, second):
        for item, text in enumerate(texts):
            if text:
                edges.append((item, count + numbers.setdefault(frozenset(text), len(numbers))))
    near = _near_pairs(list(numbers), similarity) + count
    ends = np.concatenate([np.array(edges, np.int64), near])
    nodes = count + len(numbers)
    graph = coo_array((np.ones(len(ends), bool), ends.T), shape=(nodes, nodes))
    labels = connected_components(graph, directed=False)[1][:count]
    _, lowest, component = np.unique(labels, return_index=True, return_inverse=True)
    ids: list[int] = lowest[component].tolist()
    return ids


def _near_pairs(sets: Sequence[frozenset[int]], similarity: float) -> NDArray[np.int64]:
    """Return (pairs, 2): indices of sets whose Jaccard similarity is high enough."""
    sizes = np.array([len(each) for each in sets], np.int64)
    tokens = np.fromiter((token for each in sets for token in each), np.int64)
    ids, columns = np.unique(tokens, return_inverse=True)
    starts = np.concatenate([[0], sizes.cumsum()])
    matrix = csr_array(
        (np.ones(len(tokens), np.int32), columns, starts), shape=(len(sets), len(ids))
    )
    shared = (matrix @ matrix.T).tocoo()
    one, other = shared.coords
    near = shared.data / (sizes[one] + sizes[other] - shared.data) >= similarity
    return np.stack([one[near], other[near]], axis=1).astype(np.int64)
