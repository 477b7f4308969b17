"""Pooling: the vector of a text from the vectors of its tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from mirror.tuning_config import Pooling


def pool(hidden: tuple[Tensor, ...], mask: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector for each text.

    Args:
        hidden: hidden states, (rows, tokens, width) each: of the last layer, or of the first and
            the last layer for `first-last`.
        mask: (rows, tokens), 1 for a token and 0 for padding; for a mean over tokens, a token's
            weight instead of 1.
        pooling: `cls`: the first token; `mean`: over tokens; `mean-with-padding`: over padding too
            (docs/official-code.md, fault 1); `first-last`: the mean over tokens of both layers'
            mean (Li et al. 2020; Su et al. 2021); `last`: the last token.

    Returns:
        (rows, width), fp32.
    """
    last = hidden[-1].float()
    match pooling:
        case "cls":
            return last[:, 0]
        case "mean-with-padding":
            return last.mean(1)
        case "first-last":
            return _masked_mean((hidden[0].float() + last) / 2, mask)
        case "last":
            return last[torch.arange(len(last), device=last.device), mask.sum(1) - 1]
        case "mean":
            return _masked_mean(last, mask)


def leave_out(mask: Tensor, tokens: int) -> Tensor:
    """Return a mask (rows, tokens) without the first `tokens`; the exporter of graphs reads it."""
    return torch.cat([torch.zeros_like(mask[:, :tokens]), mask[:, tokens:]], 1)


def _masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    weights = mask[:, :, None].float()
    mean: Tensor = (vectors * weights).sum(1) / weights.sum(1)
    return mean
