"""How a model's layers are computed on a CPU: dropout from a seed, linear layers in bf16.

Torch draws dropout on a CPU from one generator for all threads, number by number, which takes
longer than the layer before it; autocast casts a layer's input once for each that reads it and
every weight once more for each thread.  Within `FastCpuOps` a model's own code runs unchanged, but
for the functions of torch that do this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mirror.hardware import mkl_is_slow

LEVELS = 1 << 16
"""A rate of dropout is rounded to 2^-16."""
WORDS = 4
"""Numbers of 16 bits in one that is drawn."""
MANY_ROWS = 256
"""So many rows of a product in fp32 are worth the making of a kernel for their shape."""
Shadows = Mapping[int, Tensor]


def bf16_copies(model: nn.Module) -> dict[nn.Parameter, Tensor]:
    """Copies in bf16 of what linear layers are made of, whose gradients are to be taken instead."""
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    parameters = {own: None for module in linear for own in module.parameters(recurse=False)}
    return {
        own: own.detach().to(torch.bfloat16).requires_grad_(own.requires_grad) for own in parameters
    }


class FastCpuOps(TorchFunctionMode):
    """A block within which this thread computes on a CPU as said above.

    Attention is computed in plain steps, which for the short texts of a batch is quicker than what
    torch has for long ones, and is what torch does itself where there is dropout.

    Args:
        seed: what dropout and drophead are drawn from; nothing leaves both to torch.
        shadows: by the parameter's `id`, what stands for it in linear layers; nothing for none.
    """

    def __init__(self, seed: int | None = None, shadows: Shadows | None = None) -> None:
        super().__init__()
        self._draw = None if seed is None else np.random.Generator(np.random.SFC64(seed))
        self._shadows = shadows or {}
        self._cast: tuple[Tensor, Tensor] | None = None

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of each of its functions."""
        given = kwargs or {}
        if function is functional.linear:
            return self._linear(*args, **given)
        if function is functional.dropout:
            return self._dropout(*args, **given)
        if function is functional.scaled_dot_product_attention:
            return self._attention(*args, **given)
        if function is torch.rand and self._draw is not None:
            return torch.from_numpy(self._draw.random(args, np.float32))
        return function(*args, **given)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shadow = self._shadows.get(id(weight))
        if shadow is None:
            return functional.linear(input, weight, bias)
        # query, key and value read one input
        if self._cast is None or self._cast[0] is not input:
            self._cast = (input, input.to(torch.bfloat16))
        return functional.linear(
            self._cast[1], shadow, None if bias is None else self._shadows[id(bias)]
        )

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or not p:
            return input
        return input * self._mask(input, p)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        query = query * (scale or 1 / math.sqrt(query.shape[-1]))
        scores = query.to(value.dtype) @ key.to(value.dtype).transpose(-2, -1)
        # the least number, not minus infinity: padding in a sliding window sees nothing at all
        least = torch.finfo(scores.dtype).min
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, least)
        elif attn_mask is not None:
            scores = scores + attn_mask.clamp(min=least).to(scores.dtype)
        shares = scores.softmax(-1)
        return self._dropout(shares, dropout_p) @ value

    def _mask(self, like: Tensor, rate: float) -> Tensor:
        """0 for what is left out, 1 / (1 - rate) for the rest, in the shape and type of `like`."""
        if self._draw is None:
            return torch.empty_like(like).bernoulli_(1 - rate).div_(1 - rate)
        count, most = like.numel(), np.iinfo(np.uint64).max
        words = self._draw.integers(0, most, -(-count // WORDS), np.uint64, endpoint=True)
        drawn = torch.from_numpy(words.view(np.int16)[:count]).view(like.shape)
        mask = torch.empty(like.shape, dtype=like.dtype)
        torch.ge(drawn, round(rate * LEVELS) - LEVELS // 2, out=mask)
        return mask.mul_(1 / (1 - rate))


class OneDnnLinear(TorchFunctionMode):
    """A block within which linear layers of many rows are computed by oneDNN, in fp32 too.

    Torch asks MKL for them, which on AMD's processors uses half of what they have.  No gradients.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of each of its functions."""
        given = kwargs or {}
        if function is functional.linear:
            return self._linear(*args, **given)
        return function(*args, **given)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        fp32 = input.dtype == weight.dtype == torch.float32
        if not fp32 or input.numel() < MANY_ROWS * input.shape[-1]:
            return functional.linear(input, weight, bias)
        made: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
        return made


def cpu_ops(
    device: torch.device, seed: int | None, shadows: Shadows | None
) -> AbstractContextManager[Any]:
    """`FastCpuOps` on a CPU if anything is asked of it, or quick products if no gradients are.

    Elsewhere torch's own arithmetic, seeded.
    """
    if device.type == "cpu" and (seed is not None or shadows):
        return FastCpuOps(seed, shadows)
    if device.type == "cpu" and not torch.is_grad_enabled() and mkl_is_slow():
        return OneDnnLinear()
    if seed is not None:
        torch.manual_seed(seed)
    return nullcontext()
