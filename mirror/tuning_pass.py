"""One batch forwards and backwards: vectors of both views, one loss, gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mirror.encoder import Encoder
from mirror.tuning_objective import Objective
from mirror.tuning_settings import TuningSection
from mirror.views import Batch

Autocast = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Outcome:
    """What a pass came to; the gradients lie in the parameters."""

    loss: Tensor
    """A scalar, without a graph."""
    first: Tensor
    """(N, width), the unmasked views' vectors, without a graph."""


@dataclass(frozen=True)
class TuningPass:
    """How batches are passed through an encoder."""

    settings: TuningSection
    encoder: Encoder
    objective: Objective
    autocast: Autocast

    def __call__(self, batch: Batch, seed: int) -> Outcome:
        """Adds the batch's gradients to the parameters'; `seed` decides what is dropped."""
        if self.settings.gradient_caching:
            return self._cached(batch, seed)
        with self.autocast():
            first, second = self._vectors(batch, seed)
        loss = self.objective(first, second, batch.names)
        loss.backward()
        return Outcome(loss.detach(), first.detach())

    def _vectors(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        tokens = self.settings.slice_tokens
        if self.settings.noise != "controlled":
            rows, widths = [*batch.first, *batch.second], None
            both = self.encoder.vectors(rows, tokens, widths=widths, seed=seed)
            first, second = both.split(len(batch.first))
            return first, second
        widths = controlled_widths(batch)
        first, second = (
            self.encoder.vectors(rows, tokens, widths=widths, seed=seed)
            for rows in (batch.first, batch.second)
        )
        return first, second

    def _cached(self, batch: Batch, seed: int) -> Outcome:
        """Gradient caching (Gao et al. 2021, "Scaling deep contrastive learning", section 3.2).

        All vectors are made without a graph, the loss gives each vector's gradient, and then each
        slice is encoded again, with the same dropout, to carry its gradients to the weights.
        """
        encoder = self.encoder
        rows = [*batch.first, *batch.second]
        slices = encoder.slices(rows, self.settings.slice_tokens)
        embedded = encoder.embedded(slices)
        leaves = [part.detach().requires_grad_() for part in embedded]
        with torch.no_grad(), self.autocast():
            parts = [
                encoder.pooled(leaf, cut, seed + number)
                for number, (leaf, cut) in enumerate(zip(leaves, slices, strict=True))
            ]
        vectors = encoder.in_order(parts, slices).requires_grad_()
        first, second = vectors.split(len(batch.first))
        loss = self.objective(first, second, batch.names)
        loss.backward()
        gradient = vectors.grad
        assert gradient is not None  # noqa: S101  # the line above made it
        for number, (leaf, cut) in enumerate(zip(leaves, slices, strict=True)):
            with self.autocast():
                again = encoder.pooled(leaf, cut, seed + number)
            again.backward(gradient[torch.tensor(cut.rows, device=gradient.device)])
        torch.autograd.backward(list(embedded), [leaf.grad for leaf in leaves])
        return Outcome(loss.detach(), first.detach())


def controlled_widths(batch: Batch) -> list[int]:
    """Tokens to pad both views of each item to, so that one mask of dropout fits both."""
    return [max(len(a), len(b)) for a, b in zip(batch.first, batch.second, strict=True)]
