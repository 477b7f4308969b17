"""Shutdown of a process: on request at its next checkpoint, or together with its parent.

`python -m mirror.shutdown MODULE ARGUMENT...` runs a module like `python -m`, and kills its process
group when the parent ends.  The parent starts it in a new session with a pipe as standard input.
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
"""Time from a stop request to the end of the process; its last checkpoint is always complete."""
TERMINATED = 128 + signal.SIGTERM

_asked = threading.Event()


def ask_to_stop() -> None:
    """Ask this process's computation to stop."""
    _asked.set()


def stop_asked() -> bool:
    """Return whether this process's computation has been asked to stop."""
    return _asked.is_set()


@contextmanager
def stopping_on_sigterm(grace: float = GRACE_SECONDS) -> Iterator[None]:
    """Let SIGTERM ask the computation to stop within the block, in the main thread.

    If it does not stop within `grace` seconds, for example in a long step, the process ends.
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
    """Let Ctrl-C and SIGTERM in a flow ask computations in other threads to stop.

    Both are raised in the flow's thread only, SIGTERM by Prefect.  The process would else wait for
    the other threads to finish.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        ask_to_stop()
        raise


def end_after(seconds: float) -> None:
    """End this process after a time, whatever it is doing."""
    timer = threading.Timer(seconds, os._exit, [TERMINATED])
    timer.daemon = True
    timer.start()


def stop_within_grace() -> None:
    """Ask the computation to stop; end this process if it takes longer than GRACE_SECONDS."""
    end_after(GRACE_SECONDS)
    ask_to_stop()


def exit_with_parent(stop: Callable[[], object] = lambda: os._exit(1)) -> None:
    """Call `stop`, by default an immediate exit, as soon as the parent process has ended.

    The parent is that of `multiprocessing`, else the process with the other end of standard input,
    to which it must write no more.
    """
    parent = multiprocessing.parent_process()
    # A duplicate, because programs close or replace standard input; not sys.stdin, whose lock would
    # be held while the interpreter shuts down.
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
