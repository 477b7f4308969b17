"""CPU kernels: faster dropout, linear layers and attention, in place of torch's.

On a CPU torch draws dropout from one generator for all threads, one number at a time, which takes
longer than the layer before it.  Autocast casts a layer's input for each layer that reads it, and
each weight for each thread.  `FastCpuOps` replaces these functions; the model's code is unchanged.
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
"""Dropout rates are rounded to 2^-16."""
WORDS = 4
"""16-bit numbers in each 64-bit number drawn."""
MANY_ROWS = 256
"""Rows of an fp32 product from which compiling a kernel for its shape pays off."""
Shadows = Mapping[int, Tensor]
"""bf16 copies of parameters, by the parameter's `id`."""


def bf16_copies(model: nn.Module) -> dict[nn.Parameter, Tensor]:
    """Return bf16 copies of the linear layers' parameters; gradients are taken of the copies."""
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    weights = {weight: None for module in linear for weight in module.parameters(recurse=False)}
    return {
        weight: weight.detach().to(torch.bfloat16).requires_grad_(weight.requires_grad)
        for weight in weights
    }


class FastCpuOps(TorchFunctionMode):
    """Context manager: faster CPU versions of dropout, linear and attention, in this thread only.

    Attention is computed step by step, as torch does with dropout; for short texts this is faster
    than torch's kernel for long ones.

    Args:
        seed: of dropout and drophead; None leaves both to torch.
        shadows: copies used in linear layers in place of the parameters; None for no copies.
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
        """Replace a call of one of torch's functions; torch calls this for each of them."""
        kwargs = kwargs or {}
        if function is functional.linear:
            return self._linear(*args, **kwargs)
        if function is functional.dropout:
            return self._dropout(*args, **kwargs)
        if function is functional.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if (
            function in (torch.matmul, torch.bmm, Tensor.matmul, Tensor.__matmul__)
            and self._shadows
        ):
            return function(*_one_dtype(*args), **kwargs)
        if function is torch.rand and self._draw is not None:
            return torch.from_numpy(self._draw.random(args, np.float32))
        return function(*args, **kwargs)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shadow = self._shadows.get(id(weight))
        if shadow is None:
            return functional.linear(input, weight, bias)
        # query, key and value have the same input
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
        if enable_gqa:  # several heads of queries share a head of keys and values
            shared = query.shape[-3] // key.shape[-3]
            key, value = (part.repeat_interleave(shared, -3) for part in (key, value))
        query = query * (scale or 1 / math.sqrt(query.shape[-1]))
        scores = query.to(value.dtype) @ key.to(value.dtype).transpose(-2, -1)
        # not minus infinity: in a sliding window all keys of a padding token may be masked
        lowest = torch.finfo(scores.dtype).min
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, lowest)
        elif attn_mask is not None:
            scores = scores + attn_mask.clamp(min=lowest).to(scores.dtype)
        weights = scores.softmax(-1)
        return self._dropout(weights, dropout_p) @ value

    def _mask(self, like: Tensor, rate: float) -> Tensor:
        """Return a tensor like `like`: 0 with probability `rate`, else 1 / (1 - rate)."""
        if self._draw is None:
            return torch.empty_like(like).bernoulli_(1 - rate).div_(1 - rate)
        count, highest = like.numel(), np.iinfo(np.uint64).max
        words = self._draw.integers(0, highest, -(-count // WORDS), np.uint64, endpoint=True)
        drawn = torch.from_numpy(words.view(np.int16)[:count]).view(like.shape)
        mask = torch.empty(like.shape, dtype=like.dtype)
        torch.ge(drawn, round(rate * LEVELS) - LEVELS // 2, out=mask)
        return mask.mul_(1 / (1 - rate))


def _one_dtype(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Cast both factors of a product to bf16 if one of them is, as autocast does."""
    if first.dtype == second.dtype:
        return first, second
    return first.to(torch.bfloat16), second.to(torch.bfloat16)


class OneDnnLinear(TorchFunctionMode):
    """Context manager: oneDNN computes linear layers of many rows, in fp32 and without gradients.

    Torch uses MKL for them, which is about half as fast on AMD's processors.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace a call of one of torch's functions; torch calls this for each of them."""
        kwargs = kwargs or {}
        if function is functional.linear:
            return self._linear(*args, **kwargs)
        return function(*args, **kwargs)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        fp32 = input.dtype == weight.dtype == torch.float32
        if not fp32 or input.numel() < MANY_ROWS * input.shape[-1]:
            return functional.linear(input, weight, bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
        return product


def cpu_ops(
    device: torch.device, seed: int | None, shadows: Shadows | None
) -> AbstractContextManager[Any]:
    """Return the context manager of a forward pass.

    On a CPU: `FastCpuOps` with a seed or copies; `OneDnnLinear` without gradients where MKL is
    slow.  Otherwise torch's kernels, with torch's generator seeded by `seed` unless it is None.
    """
    if device.type == "cpu" and (seed is not None or shadows):
        return FastCpuOps(seed, shadows)
    if device.type == "cpu" and not torch.is_grad_enabled() and mkl_is_slow():
        return OneDnnLinear()
    if seed is not None:
        torch.manual_seed(seed)
    return nullcontext()
