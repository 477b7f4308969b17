"""Processes that tune one model together: each encodes its share of a batch's slices.

The vectors of all slices are gathered on every rank, so that each string has all others of the
batch as negatives; the loss is computed on every rank alike, and gives each vector's gradient.
Each rank carries those of its own slices to the weights, and the sums over ranks are the gradients
that one process would have had.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that tune together."""

    number: int
    """From 0."""
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this one writes, for all."""
        return self.number == 0

    def share(self, slices: int) -> range:
        """The numbers of the slices that are this rank's."""
        return range(self.number, slices, self.count)

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of all ranks' tensors, in the tensor's place; the same bytes on each."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_up_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sums each parameter's gradient over the ranks; a rank that has none adds nothing."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)

    def any(self, here: bool) -> bool:
        """Whether it is so on any rank."""
        if self.count == 1:
            return here
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.add_up(torch.tensor(float(here), device=device)) > 0)

    def wait(self) -> None:
        """Waits for all ranks."""
        if self.count > 1:
            dist.barrier()


SINGLE_PROCESS = ProcessGroup(0, 1)


def current_process_group() -> ProcessGroup:
    """The ranks that this process is one of; `SINGLE_PROCESS` where there are no others."""
    if dist.is_available() and dist.is_initialized():
        return ProcessGroup(dist.get_rank(), dist.get_world_size())
    return SINGLE_PROCESS


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Within the block, this process is one of those that torchrun started."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield current_process_group()
    finally:
        dist.destroy_process_group()
