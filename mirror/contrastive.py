"""InfoNCE, as the official code has it: a pure function of two batches of vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(
    first: Tensor, second: Tensor, temperature: float, names: Tensor | None = None
) -> Tensor:
    """Mean loss over 2N anchors: each side's vectors against all others of both sides.

    The positive stands in the denominator, as in the official code and unlike the paper's
    equation 1 (paper.md, part 3, no. 3).  Computed in fp32 whatever comes in.

    Args:
        first: (N, width), one vector for each string.
        second: (N, width), of the same strings in the same order.
        temperature: tau; cosines are divided by it.
        names: (N,), integers; equal ones mark equal strings, which are never each other's
            negatives.  Nothing means that all strings differ.

    Returns:
        A scalar.
    """
    count = len(first)
    vectors = functional.normalize(torch.cat([first, second]).float(), dim=-1)
    device = vectors.device
    with torch.autocast(device.type, enabled=False):
        logits = vectors @ vectors.T / temperature
        positive = torch.arange(2 * count, device=device).roll(count)
        left_out = torch.eye(2 * count, dtype=torch.bool, device=device)
        if names is not None:
            both = torch.cat([names, names]).to(device)
            left_out = both[:, None] == both[None, :]
            left_out[torch.arange(2 * count, device=device), positive] = False
        return functional.cross_entropy(logits.masked_fill(left_out, -torch.inf), positive)


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine of all pairs of different rows; 1 when all vectors point the same way."""
    rows = functional.normalize(vectors.detach().float(), dim=-1)
    count = len(rows)
    return ((rows.sum(0).square().sum() - count) / (count * (count - 1))).item()
