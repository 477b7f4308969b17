"""Linear layers after pooling that are fitted to the sample: whitening, and fewer dimensions.

Embeddings of language models vary mostly in a few directions, so that most cosines are alike.
Whitening divides each principal direction by a power of its variance, which corrects this in closed
form, without labels (Su et al. 2021, "Whitening sentence representations", with the power 1/2).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mirror.encoders.head import Dense
from mirror.errors import TuningError

LEAST_SHARE = 1e-6
"""Lower bound of a direction's variance, as a share of the largest."""


def fit_whitening(vectors: NDArray[np.float32], power: float) -> Dense:
    """Return centring followed by V diag(variances)^-power V^T, from the vectors' covariance.

    V has the covariance's eigenvectors as columns.  The matrix is symmetric: it does not rotate the
    space, and the eigenvectors' signs do not matter.

    Args:
        vectors: (rows, width), of texts of the domain.
        power: 0 only centres; 1/2 gives all directions the same variance.

    Raises:
        TuningError: all vectors are equal.
    """
    rows = vectors.astype(np.float64)
    mean = rows.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(rows - mean, rowvar=False))
    if not variances[-1] > 0:
        raise TuningError(
            "the sample's vectors are all equal and cannot be whitened: set tuning.whitening to 0, "
            "or lower tuning.learning_rate if tuning has collapsed them"
        )
    scaled = np.maximum(variances / variances[-1], LEAST_SHARE) ** -power
    weight = (directions * scaled) @ directions.T
    return Dense(
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy((-weight @ mean).astype(np.float32)),
    )


def fit_reduction(vectors: NDArray[np.float32], dimensions: int) -> Dense:
    """Return the projection to the directions that hold most of the vectors' length.

    It is principal component analysis of the vectors scaled to length 1, not centred: no other
    projection changes their dot products less (Eckart and Young 1936), and a text's cosines are
    what an encoder is used for.

    Args:
        vectors: (rows, width), of texts of the domain.
        dimensions: below the width.

    Raises:
        TuningError: the vectors have no length in that many directions.
    """
    rows = vectors.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    lengths, directions = np.linalg.eigh(rows.T @ rows)
    if lengths[-dimensions] <= lengths[-1] * LEAST_SHARE**2:
        raise TuningError(
            f"the sample's vectors have fewer than {dimensions} dimensions: lower "
            "tuning.dimensions, or raise sample.size"
        )
    chosen = directions[:, ::-1][:, :dimensions]
    # An eigenvector's sign is arbitrary: its largest number is made positive.
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=0)[None], 0)
    weight = (chosen * np.sign(largest)).T
    return Dense(torch.from_numpy(np.ascontiguousarray(weight, np.float32)), None)
