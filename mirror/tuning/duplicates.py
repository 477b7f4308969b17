"""Equal and nearly equal texts of a batch, which are never each other's negatives."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components


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
