"""Training step: vectors of both views of a batch, one loss, gradients."""

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
from mirror.parallel import SINGLE_THREAD, WorkerThreads
from mirror.tuning.losses import ContrastiveObjective
from mirror.tuning.process_group import SINGLE_PROCESS, ProcessGroup
from mirror.tuning.views import Batch
from mirror.tuning_config import TuningSection


@dataclass(frozen=True)
class StepOutput:
    """Loss and vectors of a batch, without a graph; the gradients are in the parameters."""

    loss: Tensor
    """A scalar."""
    first: Tensor
    """(N, dimension), vectors of the plain views."""
    second: Tensor
    """(N, dimension), vectors of the masked views."""


@dataclass(frozen=True)
class TrainStep:
    """Forward and backward pass of batches through an encoder.

    Micro-batches of similar length are encoded in parallel, each on one thread.  The loss of the
    whole batch gives each vector's gradient; each micro-batch then backpropagates its own, and the
    parameters' gradients are summed in the order of the micro-batches.  So the number of threads
    changes no result.
    """

    settings: TuningSection
    encoder: Encoder
    objective: ContrastiveObjective
    bf16: bool
    """Linear layers in bf16; weights, sums and all else in fp32."""
    process_group: ProcessGroup = SINGLE_PROCESS
    """The processes that share the micro-batches."""

    def forward_backward(
        self, batch: Batch, seed: int, threads: WorkerThreads = SINGLE_THREAD
    ) -> StepOutput:
        """Add the batch's gradients to the parameters; `seed` decides dropout."""
        encoder, caching = self.encoder, self.settings.gradient_caching
        microbatches, seeds = self._local_microbatches(batch, seed)
        embedded = encoder.embed_tokens(microbatches)
        inputs = [part.detach().requires_grad_() for part in embedded]
        weights = _GradientAccumulator(encoder.model, self.bf16 and encoder.device.type == "cpu")

        def encode(number: int) -> Tensor:
            return encoder.forward(
                inputs[number], microbatches[number], seeds[number], weights.shadows
            )

        def forward(number: int) -> Tensor:
            with torch.set_grad_enabled(not caching), self._autocast():
                return encode(number)

        outputs: list[Tensor | None] = [*threads.map(forward, len(microbatches))]
        vectors = self._gather([part for part in outputs if part is not None], microbatches, batch)
        first, second = vectors.requires_grad_().split(len(batch.first))
        loss = self.objective(first, second, batch.text_ids)
        loss.backward()
        gradient = vectors.grad
        assert gradient is not None  # noqa: S101  # set by `loss.backward()`

        def backward(number: int) -> Tensor:
            output, outputs[number] = outputs[number], None  # frees its graph after this call
            if caching:  # Gao et al. 2021, "Scaling deep contrastive learning", section 3.2
                with self._autocast():
                    output = encode(number)
            rows = torch.tensor(microbatches[number].rows, device=gradient.device)
            return weights.backward(number, output, inputs[number], gradient[rows])

        torch.autograd.backward(embedded, threads.map(backward, len(microbatches)))
        self.process_group.all_reduce_gradients(encoder.model.parameters())
        return StepOutput(loss.detach(), first.detach(), second.detach())

    def _local_microbatches(self, batch: Batch, seed: int) -> tuple[list[MicroBatch], list[int]]:
        """Return this process's micro-batches and the seed of each, the same in any process."""
        microbatches, seeds = self._microbatches(batch, seed)
        local = self.process_group.local_slice
        return microbatches[local], seeds[local]

    def _gather(
        self, parts: Sequence[Tensor], microbatches: Sequence[MicroBatch], batch: Batch
    ) -> Tensor:
        """Return the vectors of all processes' micro-batches in row order, without a graph."""
        encoder = self.encoder
        rows = len(batch.first) + len(batch.second)
        vectors = torch.zeros(rows, encoder.dimension, device=encoder.device)
        for part, microbatch in zip(parts, microbatches, strict=True):
            vectors[microbatch.rows] = part.detach()
        return self.process_group.all_reduce(vectors)

    def _microbatches(self, batch: Batch, seed: int) -> tuple[list[MicroBatch], list[int]]:
        """Return micro-batches of both views, the second view's rows after the first's, and seeds.

        With controlled dropout both views of an item get the same seed and the same padding.
        """
        tokens = self.settings.tokens_per_microbatch
        if self.settings.augmentation != "controlled":
            both = self.encoder.microbatches([*batch.first, *batch.second], tokens)
            return both, [seed + number for number in range(len(both))]
        widths = [max(len(a), len(b)) for a, b in zip(batch.first, batch.second, strict=True)]
        first, second = (
            self.encoder.microbatches(rows, tokens, widths) for rows in (batch.first, batch.second)
        )
        second = [
            replace(microbatch, rows=[row + len(batch.first) for row in microbatch.rows])
            for microbatch in second
        ]
        return [*first, *second], [seed + number for number in range(len(first))] * 2

    def _autocast(self) -> AbstractContextManager[Any]:
        """Autocast on a GPU; on a CPU bf16 copies of the weights do the same at lower cost."""
        enabled = self.bf16 and self.encoder.device.type != "cpu"
        return torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=enabled)


class _GradientAccumulator:
    """Sum of gradients in a model's parameters, in a fixed order, from any thread."""

    def __init__(self, model: nn.Module, bf16: bool) -> None:
        self._parameters = [weight for weight in model.parameters() if weight.requires_grad]
        shadows = bf16_copies(model) if bf16 else {}
        self.shadows = {id(weight): shadow for weight, shadow in shadows.items()}
        self._computed_with = [shadows.get(weight, weight) for weight in self._parameters]
        self._lock = threading.Lock()
        self._waiting: dict[int, Sequence[Tensor | None]] = {}
        self._next = 0

    def backward(
        self, number: int, output: Tensor | None, inputs: Tensor, gradient: Tensor
    ) -> Tensor:
        """Add micro-batch `number`'s gradients to the parameters, in micro-batch order.

        Args:
            number: of the micro-batch, counted from 0 without a gap.
            output: the micro-batch's vectors, with their graph.
            inputs: its word embeddings.
            gradient: the gradient of `output`.

        Returns:
            The gradient of `inputs`.
        """
        assert output is not None  # noqa: S101  # each micro-batch comes once
        of_inputs, *of_weights = torch.autograd.grad(
            output, [inputs, *self._computed_with], gradient, allow_unused=True
        )
        with self._lock:
            self._waiting[number] = of_weights
            while self._next in self._waiting:
                self._add(self._waiting.pop(self._next))
                self._next += 1
        return of_inputs

    def _add(self, gradients: Sequence[Tensor | None]) -> None:
        for weight, gradient in zip(self._parameters, gradients, strict=True):
            if gradient is None:  # word embeddings, which are looked up for all rows at once
                continue
            if weight.grad is None:
                weight.grad = torch.empty_like(weight).copy_(gradient)
            else:
                weight.grad.add_(gradient)
