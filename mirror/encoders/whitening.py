"""Whitening: a linear layer after pooling that equalises the variances of principal directions.

Embeddings of language models vary mostly in a few directions, so that most cosines are alike.
Dividing each principal direction by a power of its variance corrects this in closed form, without
labels (Su et al. 2021, "Whitening sentence representations", with the power 1/2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mirror.encoders.sentence_transformers_format import DENSE, LINEAR
from mirror.errors import BaseModelError, TuningError

LEAST_SHARE = 1e-6
"""Lower bound of a direction's variance, as a share of the largest."""


@dataclass(frozen=True)
class Projection:
    """A linear layer on pooled vectors: `vectors @ weight.T + bias`."""

    weight: Tensor
    """(width, width), fp32."""
    bias: Tensor
    """(width,), fp32."""

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the projected vectors, (rows, width)."""
        return torch.nn.functional.linear(
            vectors, self.weight.to(vectors.device), self.bias.to(vectors.device)
        )


def fit_whitening(vectors: NDArray[np.float32], power: float) -> Projection:
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
    return Projection(
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy((-weight @ mean).astype(np.float32)),
    )


def write_projection(folder: Path, projection: Projection) -> None:
    """Write the layer as sentence-transformers' module `Dense`."""
    width = len(projection.bias)
    config = {
        "in_features": width,
        "out_features": width,
        "bias": True,
        "activation_function": LINEAR,
    }
    (folder / DENSE).mkdir(exist_ok=True)
    (folder / DENSE / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    save_file(
        {
            "linear.weight": projection.weight.contiguous(),
            "linear.bias": projection.bias.contiguous(),
        },
        folder / DENSE / "model.safetensors",
    )


def read_projection(folder: Path, width: int) -> Projection:
    """Return the layer that `write_projection` wrote.

    Raises:
        BaseModelError: the layer is missing, damaged, not linear, or of another width.
    """
    path = folder / DENSE / "model.safetensors"
    try:
        config = json.loads((folder / DENSE / "config.json").read_text(encoding="utf-8"))
        activation = config["activation_function"]
        tensors = load_file(path)
        projection = Projection(tensors["linear.weight"].float(), tensors["linear.bias"].float())
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
        raise BaseModelError(
            f"the last layer {path} cannot be read ({error}): get the encoder again"
        ) from error
    if activation != LINEAR:
        raise BaseModelError(
            f"the last layer {path} has the activation {activation}, and only linear layers can be "
            "used: choose another encoder, or remove modules.json to use the model without it"
        )
    if projection.weight.shape != (width, width) or projection.bias.shape != (width,):
        raise BaseModelError(
            f"the last layer {path} does not fit vectors of dimension {width}: get the encoder "
            "again"
        )
    return projection
