"""Shutdown of a process: on request at its next checkpoint, or together with its parent.

`python -m mirror.shutdown MODULE ARGUMENT...` runs a module as `python -m` does, and kills it and
its process group when the parent ends.  The parent starts it in a session of its own with a pipe as
standard input.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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


def stop_within_grace() -> None:
    """Ask the computation to stop, and end this process if it takes longer than GRACE_SECONDS."""
    end_after(GRACE_SECONDS)
    ask_to_stop()


def exit_with_parent(stop: Callable[[], object] = lambda: os._exit(1)) -> None:
    """Call `stop`, by default an immediate exit, once the parent has ended, however it ended.

    The parent is that of `multiprocessing`, else the process that holds the other end of standard
    input open and writes nothing more to it.
    """
    parent = multiprocessing.parent_process()
    # A copy, since programs close or replace theirs; not sys.stdin, whose lock would be held while
    # the interpreter shuts down.
    pipe = None if parent else os.dup(0)

    def watch() -> None:
        if parent:
            parent.join()
        while pipe is not None and os.read(pipe, 1):
            pass
        stop()

    threading.Thread(target=watch, daemon=True).start()


def _run_module() -> None:
    exit_with_parent(lambda: os.killpg(0, signal.SIGKILL))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run_module()
