"""Drophead: dropout of whole attention heads while tuning.

From "Scheduled DropHead" (Zhou et al. 2020); the paper uses it in place of dropout.  The official
code supports BERT and RoBERTa, and divides by zero if it drops all heads of a layer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from mirror.encoders.architectures import ARCHITECTURES
from mirror.errors import BaseModelError


def attach_drophead(model: PreTrainedModel, rate: float) -> list[RemovableHandle]:
    """Drop heads in every layer of a model while it is in training mode.

    The input of each layer's output projection is changed, so that all implementations of attention
    give the same result.  Heads are drawn for each text, layer and pass, from torch's generator on
    the model's device.  The configured dropout is not changed.

    Args:
        model: of an architecture in `ARCHITECTURES`, with or without its language modelling head.
        rate: share of heads dropped, at least 0 and below 1.

    Returns:
        One handle for each module hooked; removing all of them restores the model.

    Raises:
        BaseModelError: no module has the name of its architecture's output projection.
        ValueError: the rate is below 0 or at least 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"the drophead rate is {rate}: set it to at least 0 and below 1")
    kind, heads = model.config.model_type, model.config.num_attention_heads
    ending = f".{ARCHITECTURES[kind].attention_output}"
    projections = [module for name, module in model.named_modules() if name.endswith(ending)]
    if not projections:
        raise BaseModelError(
            f"no module of this {kind} has a name that ends in {ending}, which drophead needs: "
            "set tuning.augmentation to dropout, or install the transformers of constraints.txt"
        )
    return [module.register_forward_pre_hook(_hook(heads, rate)) for module in projections]


def head_weights(texts: int, heads: int, rate: float, device: torch.device) -> Tensor:
    """Return (texts, heads): 0 for dropped heads, and heads / k for the k heads that remain.

    Each head remains with a probability of 1 - rate, independently; if none would, one head drawn
    uniformly remains.  All heads are alike, so a head is one of the k that remain with a
    probability of k / heads: the expectation of each weight is exactly 1.
    """
    draws = torch.rand(texts, heads, device=device)
    # No loop that draws again: it would synchronise with the GPU.
    remains = draws >= draws.amax(dim=1, keepdim=True).clamp(max=rate)
    return remains * (heads / remains.sum(dim=1, keepdim=True))


def _hook(heads: int, rate: float) -> Callable[[Module, tuple[Tensor]], tuple[Tensor] | None]:
    def drop_heads(module: Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Weight the heads in a projection's input, (texts, tokens, heads * size)."""
        if not module.training:
            return None
        (states,) = inputs
        weights = head_weights(len(states), heads, rate, states.device).to(states.dtype)
        by_head = states.unflatten(-1, (heads, -1)) * weights[:, None, :, None]
        return (by_head.flatten(-2),)

    return drop_heads
