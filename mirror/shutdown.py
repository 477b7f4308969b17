"""A request to stop a computation at its next good moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 8.0
"""How long after a request a process may go on until it is ended: its last checkpoint is whole."""
TERMINATED = 128 + signal.SIGTERM

_asked = threading.Event()


def ask_to_stop() -> None:
    """Asks this process's computation to stop."""
    _asked.set()


def stop_asked() -> bool:
    """Whether it has been asked to."""
    return _asked.is_set()


@contextmanager
def stopping_on_sigterm(grace: float = GRACE_SECONDS) -> Iterator[None]:
    """Within the block, of the main thread, SIGTERM asks the computation to stop.

    Where that takes longer than `grace` seconds, because one step does, the process is ended.
    """

    def ask(_number: int, _frame: FrameType | None) -> None:
        end_after(grace)
        ask_to_stop()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_on_interrupt() -> Iterator[None]:
    """Within the block, of a flow, Ctrl-C and SIGTERM ask computations in other threads to stop.

    Both are raised in the flow's thread, the second by Prefect.  The others cannot be interrupted,
    and the process would end only when they have.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        ask_to_stop()
        raise


def end_after(seconds: float) -> None:
    """Ends this process after that time, whatever it is doing."""
    timer = threading.Timer(seconds, os._exit, [TERMINATED])
    timer.daemon = True
    timer.start()
