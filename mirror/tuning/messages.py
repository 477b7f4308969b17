"""Messages between a tuning process and its parent: JSON lines on the child's standard output."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

from mirror import errors
from mirror.errors import MirrorError, StoppedError
from mirror.shutdown import stop_asked

POLL_SECONDS = 0.2


def receive(
    child: subprocess.Popen[str], prefix: str = "", timeout: float | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield each message's kind and content, until the child closes its output.

    Args:
        child: writes lines of `[kind, content]` to a pipe.
        prefix: start of the lines that are messages; others are ignored.
        timeout: seconds from now.

    Raises:
        MirrorError: the one that the child sent with `error_message`.
        StoppedError: this process was asked to stop.
        TimeoutError: the child was still running when the time was over.
    """
    end = None if timeout is None else time.monotonic() + timeout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(child, prefix, lines), daemon=True).start()
    while True:
        if stop_asked():
            raise StoppedError("tuning was stopped: run again to resume from its checkpoint")
        if end is not None and time.monotonic() > end:
            raise TimeoutError
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            return
        kind, content = json.loads(line)
        if kind == "error":
            raise getattr(errors, content["class"])(content["text"])
        yield kind, content


def error_message(error: MirrorError) -> dict[str, str]:
    """Return the content of an `error` message."""
    return {"class": type(error).__name__, "text": str(error)}


def _read(child: subprocess.Popen[str], prefix: str, lines: queue.SimpleQueue[str | None]) -> None:
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    for line in child.stdout:
        if line.startswith(prefix):
            lines.put(line.removeprefix(prefix))
    lines.put(None)
