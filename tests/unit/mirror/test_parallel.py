from __future__ import annotations

import threading
import time

import pytest
import torch

from mirror.parallel import SINGLE_THREAD, worker_count, worker_threads


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_the_order_of_the_pieces(count: int) -> None:
    def work(piece: int) -> int:
        time.sleep(0.002 * (piece % 3))
        return piece * piece

    with worker_threads(count) as threads:
        assert threads.map(work, 12) == [piece * piece for piece in range(12)]
        assert threads.map(work, 0) == []


def test_a_thread_that_is_held_up_leaves_its_work_to_the_others() -> None:
    done: dict[int, int] = {}

    def work(piece: int) -> None:
        if piece == 0:
            time.sleep(0.3)
        done[piece] = threading.get_ident()

    with worker_threads(2) as threads:
        threads.map(work, 10)
    slow = done[0]
    assert [piece for piece, thread in done.items() if thread == slow] == [0]


def test_torch_has_one_thread_in_each_worker_and_its_own_in_the_caller_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        both = threading.Barrier(2)

        def work(piece: int) -> int:
            both.wait(10)
            return torch.get_num_threads()

        with worker_threads(2) as threads:
            assert threads.map(work, 2) == [1, 1]
        assert torch.get_num_threads() == 3
        assert worker_count(torch.device("cpu")) == 3
        assert worker_count(torch.device("cuda")) == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_is_raised_and_pending_work_is_dropped(count: int) -> None:
    begun = []

    def work(piece: int) -> None:
        begun.append(piece)
        time.sleep(0.001)
        if piece == 2:
            raise MemoryError("piece 2")

    with worker_threads(count) as threads, pytest.raises(MemoryError, match="piece 2"):
        threads.map(work, 1_000)
    assert len(begun) < 1_000


def test_a_single_thread_is_the_callers() -> None:
    own = threading.get_ident()
    assert SINGLE_THREAD.map(lambda _: threading.get_ident(), 3) == [own] * 3
