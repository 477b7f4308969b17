"""How an encoder's space looks: neighbours, cosines of random pairs, isotropy.

All on the first strings of the sample, which stand in the order of a hash: the same strings and
the same pairs for every encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRINGS = 2_000
QUERIES = 10
NEAREST = 5
BINS = 50


def space_diagnostics(texts: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Neighbours of the first ten texts, a histogram of cosines, and measures of the space.

    Args:
        texts: different strings.
        vectors: (texts, width), not normalised.

    Returns:
        JSON-ready: `neighbours`; `cosines` of pairs half the list apart, with `bins`, the edges;
        `mean_cosine` of these pairs; `isotropy` and `mean_vector_norm` (paper, table 9);
        `different`, the share of vectors that no earlier text has.
    """
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = exact / np.where(norms > 0, norms, 1)
    half = len(texts) // 2
    pairs = np.einsum("ij,ij->i", unit[:half], unit[half : 2 * half])
    counts, edges = np.histogram(np.clip(pairs, -1, 1), bins=BINS, range=(-1, 1))
    return {
        "neighbours": _neighbours(texts, unit),
        "cosines": {"bins": np.round(edges, 4).tolist(), "counts": counts.tolist()},
        "mean_cosine": float(pairs.mean()),
        "isotropy": isotropy(exact),
        "mean_vector_norm": float(np.linalg.norm(exact.mean(axis=0))),
        "different": len(np.unique(np.round(unit, 6), axis=0)) / len(texts),
    }


def isotropy(vectors: NDArray[np.float64]) -> float:
    """Smallest over largest partition function along the eigenvectors of VᵀV; 1 is isotropic.

    Mu and Viswanath 2018, as the paper uses it (section 5).  Computed from logarithms, since sums
    of exponentials of unnormalised vectors overflow.
    """
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return partition_ratio(vectors @ directions)


def partition_ratio(along: NDArray[np.float64]) -> float:
    """Smallest over largest sum of exponentials among columns: (vectors, directions)."""
    top = along.max(axis=0)
    logs = top + np.log(np.exp(along - top).sum(axis=0))
    return float(np.exp(logs.min() - logs.max()))


def _neighbours(texts: Sequence[str], unit: NDArray[np.float64]) -> list[dict[str, Any]]:
    found = []
    for number in range(min(QUERIES, len(texts))):
        cosines = unit @ unit[number]
        cosines[number] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[: min(NEAREST, len(texts) - 1)]
        found.append(
            {
                "query": texts[number],
                "nearest": [[texts[index], round(float(cosines[index]), 4)] for index in nearest],
            }
        )
    return found
