"""One batch forwards and backwards: vectors of both views, one loss, gradients."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mirror.encoders.cpu_kernels import bf16_copies
from mirror.encoders.encoder import Encoder
from mirror.encoders.length_buckets import MicroBatch
from mirror.encoders.parallel import SINGLE_THREAD, WorkerThreads
from mirror.tuning.objective import Objective
from mirror.tuning.process_group import SINGLE_PROCESS, ProcessGroup
from mirror.tuning.views import Batch
from mirror.tuning_config import TuningSection


@dataclass(frozen=True)
class StepOutput:
    """What a pass came to; the gradients lie in the parameters."""

    loss: Tensor
    """A scalar, without a graph."""
    first: Tensor
    """(N, width), the unmasked views' vectors, without a graph."""
    second: Tensor
    """(N, width), the masked views', likewise."""


@dataclass(frozen=True)
class TrainStep:
    """How batches are passed through an encoder.

    Slices of like length are encoded side by side, each on one lane; the loss gives each vector's
    gradient; then each slice carries its own to the weights, where they are summed in the slices'
    order.  So the number of lanes changes no result.
    """

    settings: TuningSection
    encoder: Encoder
    objective: Objective
    bf16: bool
    """Linear layers in bf16; weights, sums and all else stay fp32."""
    ranks: ProcessGroup = SINGLE_PROCESS
    """The processes that share the slices."""

    def __call__(self, batch: Batch, seed: int, lanes: WorkerThreads = SINGLE_THREAD) -> StepOutput:
        """Adds the batch's gradients to the parameters'; `seed` decides what is dropped."""
        encoder, caching = self.encoder, self.settings.gradient_caching
        slices, seeds = self._share(batch, seed)
        embedded = encoder.embedded(slices)
        leaves = [part.detach().requires_grad_() for part in embedded]
        weights = _GradientAccumulator(encoder.model, self.bf16 and encoder.device.type == "cpu")

        def encode(number: int) -> Tensor:
            return encoder.pooled(leaves[number], slices[number], seeds[number], weights.shadows)

        def forwards(number: int) -> Tensor:
            with torch.set_grad_enabled(not caching), self._autocast():
                return encode(number)

        parts: list[Tensor | None] = [*lanes.each(forwards, len(slices))]
        vectors = self._gathered([part for part in parts if part is not None], slices, batch)
        first, second = vectors.requires_grad_().split(len(batch.first))
        loss = self.objective(first, second, batch.names, batch.taught)
        loss.backward()
        gradient = vectors.grad
        assert gradient is not None  # noqa: S101  # the line above made it

        def backwards(number: int) -> Tensor:
            part, parts[number] = parts[number], None  # its graph is freed with it
            if caching:  # Gao et al. 2021, "Scaling deep contrastive learning", section 3.2
                with self._autocast():
                    part = encode(number)
            own = gradient[torch.tensor(slices[number].rows, device=gradient.device)]
            return weights.carry(number, part, leaves[number], own)

        torch.autograd.backward(embedded, lanes.each(backwards, len(slices)))
        self.ranks.add_up_gradients(encoder.model.parameters())
        return StepOutput(loss.detach(), first.detach(), second.detach())

    def vectors(
        self, batch: Batch, seed: int, lanes: WorkerThreads = SINGLE_THREAD
    ) -> tuple[Tensor, Tensor]:
        """Both views' vectors, (N, width) each, as training makes them, without gradients."""
        encoder = self.encoder
        slices, seeds = self._share(batch, seed)
        weights = _GradientAccumulator(encoder.model, self.bf16 and encoder.device.type == "cpu")
        with torch.no_grad():
            embedded = encoder.embedded(slices)

        def forwards(number: int) -> Tensor:
            with torch.no_grad(), self._autocast():
                part = embedded[number]
                return encoder.pooled(part, slices[number], seeds[number], weights.shadows)

        made = self._gathered(lanes.each(forwards, len(slices)), slices, batch)
        first, second = made.split(len(batch.first))
        return first, second

    def _share(self, batch: Batch, seed: int) -> tuple[list[MicroBatch], list[int]]:
        """This rank's slices, and the seed of each: the same whoever computes it."""
        slices, seeds = self._slices(batch, seed)
        own = self.ranks.share(len(slices))
        return [slices[number] for number in own], [seeds[number] for number in own]

    def _gathered(
        self, parts: Sequence[Tensor], slices: Sequence[MicroBatch], batch: Batch
    ) -> Tensor:
        """The vectors of all ranks' slices, in the order of the rows, without their graph."""
        encoder = self.encoder
        rows = len(batch.first) + len(batch.second)
        vectors = torch.zeros(rows, encoder.width, device=encoder.device)
        for part, cut in zip(parts, slices, strict=True):
            vectors[cut.rows] = part.detach()
        return self.ranks.add_up(vectors)

    def _slices(self, batch: Batch, seed: int) -> tuple[list[MicroBatch], list[int]]:
        """Slices of both views, whose rows are counted through, and the seed of each."""
        tokens = self.settings.tokens_per_microbatch
        if self.settings.augmentation != "controlled":
            slices = self.encoder.slices([*batch.first, *batch.second], tokens)
            return slices, [seed + number for number in range(len(slices))]
        widths = controlled_widths(batch)
        first, second = (
            self.encoder.slices(rows, tokens, widths) for rows in (batch.first, batch.second)
        )
        moved = [replace(cut, rows=[row + len(batch.first) for row in cut.rows]) for cut in second]
        return [*first, *moved], [seed + number for number in range(len(first))] * 2

    def _autocast(self) -> AbstractContextManager[Any]:
        """For GPUs; on a CPU the shadows of the weights do the same for less."""
        enabled = self.bf16 and self.encoder.device.type != "cpu"
        return torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=enabled)


class _GradientAccumulator:
    """A model's parameters, and gradients summed into them in a fixed order from any thread."""

    def __init__(self, model: nn.Module, bf16: bool) -> None:
        self._parameters = [own for own in model.parameters() if own.requires_grad]
        shadows = bf16_copies(model) if bf16 else {}
        self.shadows = {id(own): shadow for own, shadow in shadows.items()}
        self._computed_with = [shadows.get(own, own) for own in self._parameters]
        self._lock = threading.Lock()
        self._waiting: dict[int, Sequence[Tensor | None]] = {}
        self._next = 0

    def carry(self, number: int, part: Tensor | None, leaf: Tensor, gradient: Tensor) -> Tensor:
        """Adds what slice `number` gives to the parameters, once those before it have; its leaf's.

        Args:
            number: of the slice, counted from 0 without a gap.
            part: the slice's vectors, with their graph.
            leaf: what they were made of.
            gradient: the vectors' own.
        """
        assert part is not None  # noqa: S101  # each slice is carried once
        of_leaf, *rest = torch.autograd.grad(
            part, [leaf, *self._computed_with], gradient, allow_unused=True
        )
        with self._lock:
            self._waiting[number] = rest
            while self._next in self._waiting:
                self._add(self._waiting.pop(self._next))
                self._next += 1
        return of_leaf

    def _add(self, gradients: Sequence[Tensor | None]) -> None:
        for own, gradient in zip(self._parameters, gradients, strict=True):
            if gradient is None:  # word embeddings, which are looked up for all slices at once
                continue
            if own.grad is None:
                own.grad = torch.empty_like(own).copy_(gradient)
            else:
                own.grad.add_(gradient)


def controlled_widths(batch: Batch) -> list[int]:
    """Tokens to pad both views of each item to, so that one mask of dropout fits both."""
    return [max(len(a), len(b)) for a, b in zip(batch.first, batch.second, strict=True)]
