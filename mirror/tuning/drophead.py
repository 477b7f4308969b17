"""Drophead: whole attention heads are left out while tuning.

From "Scheduled DropHead" (Zhou et al. 2020); the paper uses it in place of dropout.  The official
code has it for BERT and RoBERTa, and divides by zero where it leaves out all heads of a layer.
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
    """Leaves out heads in every layer of a model, for as long as it is in training mode.

    It acts on what goes into each layer's output projection, so that it is the same for every way
    of computing attention.  Each text of each pass draws its own heads in each layer, from the
    random numbers of torch on the model's device.  The configured dropout stays as it is.

    Args:
        model: Of a kind in `ARCHITECTURES`, with or without its language modelling head.
        rate: The share of heads left out, at least 0 and below 1.

    Returns:
        One handle for each module hooked; removing all of them restores the model.

    Raises:
        BaseModelError: the model has no projection of the name known for its kind.
        ValueError: the rate is below 0, or 1 and more.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a drophead rate of {rate}: it must be at least 0 and below 1")
    kind, heads = model.config.model_type, model.config.num_attention_heads
    ending = f".{ARCHITECTURES[kind].attention_output}"
    projections = [module for name, module in model.named_modules() if name.endswith(ending)]
    if not projections:
        raise BaseModelError(
            f"no module of this {kind} has a name that ends in {ending}, where drophead acts: "
            "set tuning.augmentation to dropout, or use the transformers of constraints.txt"
        )
    return [module.register_forward_pre_hook(_hook(heads, rate)) for module in projections]


def head_weights(texts: int, heads: int, rate: float, device: torch.device) -> Tensor:
    """(texts, heads): 0 for heads left out, and for those kept, heads / kept.

    A head is kept with a probability of 1 - rate, on its own; where that leaves none, one head is
    kept, any of them as likely as any other.  As no head is preferred, one of k heads kept is any
    head with a probability of k / heads, whatever k is: each weight's expectation is exactly 1.
    """
    draws = torch.rand(texts, heads, device=device)
    # Unlike a loop that draws again, this needs no look at the numbers, for which a GPU would wait.
    kept = draws >= draws.amax(dim=1, keepdim=True).clamp(max=rate)
    return kept * (heads / kept.sum(dim=1, keepdim=True))


def _hook(heads: int, rate: float) -> Callable[[Module, tuple[Tensor]], tuple[Tensor] | None]:
    def leave_out(module: Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Of the input (texts, tokens, heads * size), the heads of a layer side by side."""
        if not module.training:
            return None
        (states,) = inputs
        weights = head_weights(len(states), heads, rate, states.device).to(states.dtype)
        by_head = states.unflatten(-1, (heads, -1)) * weights[:, None, :, None]
        return (by_head.flatten(-2),)

    return leave_out
