"""Independent pieces of work side by side, each on one thread of its own.

Threads that share one operation wait for each other after every one of them: where another program
holds up one, all stand still, hundreds of times a step.  Lanes share nothing but a list of work, so
that a lane that is held up does less of it and the others more.  Each piece is computed by one
thread whatever the number of lanes, so that number changes no result.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Made = TypeVar("Made")


class WorkerThreads:
    """So many threads, of which the caller's is one; made by `worker_threads`."""

    def __init__(self, count: int, pool: ThreadPoolExecutor | None) -> None:
        self.count = count
        self._pool = pool

    def each(self, work: Callable[[int], Made], pieces: int) -> list[Made]:
        """Results of `work(0)` to `work(pieces - 1)`, begun in that order.

        Raises:
            Exception: what the first piece that failed raised, once all lanes have stopped.
        """
        waiting, taking = itertools.count(), threading.Lock()
        made: dict[int, Made] = {}
        failed: dict[int, BaseException] = {}

        def go() -> None:
            while not failed:
                with taking:
                    piece = next(waiting)
                if piece >= pieces:
                    return
                try:
                    made[piece] = work(piece)
                except BaseException as error:  # the caller raises it
                    failed[piece] = error

        others = [self._pool.submit(go) for _ in range(self.count - 1)] if self._pool else []
        go()
        for other in others:
            other.result()
        if failed:
            raise failed[min(failed)]
        return [made[piece] for piece in range(pieces)]


SINGLE_THREAD = WorkerThreads(1, None)
"""The caller's own thread."""


@contextmanager
def worker_threads(count: int) -> Iterator[WorkerThreads]:
    """Lanes for the length of the block, in which torch has one thread in each of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if count == 1:
            yield SINGLE_THREAD
            return
        with ThreadPoolExecutor(count - 1, "lane", torch.set_num_threads, (1,)) as pool:
            yield WorkerThreads(count, pool)
    finally:
        torch.set_num_threads(threads)


def lane_count(device: torch.device) -> int:
    """As many lanes on a CPU as torch has threads; one where a GPU computes."""
    return torch.get_num_threads() if device.type == "cpu" else 1
