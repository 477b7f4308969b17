"""Process group: one model tuned by several processes, each with a share of the micro-batches.

Every process gets the vectors of all micro-batches, so that each string has all others of the batch
as negatives.  Every process computes the same loss and the gradient of each vector, and
backpropagates those of its own micro-batches.  The sums over all processes are the gradients of a
single process.
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
    """This process's rank, and the size of the group."""

    rank: int
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages for the group."""
        return self.rank == 0

    @property
    def local_slice(self) -> slice:
        """Which of a list of micro-batches this process computes."""
        return slice(self.rank, None, self.size)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place; every process gets the same bytes."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum each parameter's gradient over all processes; a missing one counts as 0."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)

    def any_rank(self, condition: bool) -> bool:
        """Return whether the condition is true in any process."""
        if self.size == 1:
            return condition
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.all_reduce(torch.tensor(float(condition), device=device)) > 0)

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()


SINGLE_PROCESS = ProcessGroup(0, 1)


def current_process_group() -> ProcessGroup:
    """Return this process's group; `SINGLE_PROCESS` if it is in none."""
    if dist.is_available() and dist.is_initialized():
        return ProcessGroup(dist.get_rank(), dist.get_world_size())
    return SINGLE_PROCESS


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Context manager: this process is in the group of processes that torchrun started."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield current_process_group()
    finally:
        dist.destroy_process_group()
