"""Worker threads for independent pieces of work, with one torch thread each.

torch's own threads share each operation and wait for each other after it: if another program delays
one of them, all wait, hundreds of times per training step.  These threads share only a queue, so a
delayed thread takes fewer pieces.  Each piece is computed by one thread, so the number of threads
changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")


class WorkerThreads:
    """Threads that compute pieces of work; see `worker_threads`."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool

    def map(self, function: Callable[[int], Result], count: int) -> list[Result]:
        """Return `function(0)` to `function(count - 1)`, started in that order.

        Raises:
            Exception: the error of the first call that failed; calls not yet started are dropped.
        """
        if self._pool is None:
            return [function(number) for number in range(count)]
        return list(self._pool.map(function, range(count)))


SINGLE_THREAD = WorkerThreads(None)
"""The caller's thread."""


@contextmanager
def worker_threads(count: int) -> Iterator[WorkerThreads]:
    """Context manager: `count` threads; torch has one thread in each, and in the caller's."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if count == 1:
            yield SINGLE_THREAD
            return
        with ThreadPoolExecutor(count, "worker", torch.set_num_threads, (1,)) as pool:
            yield WorkerThreads(pool)
    finally:
        torch.set_num_threads(threads_before)


def worker_count(device: torch.device) -> int:
    """Return the number of torch's threads on a CPU, and 1 on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1
