"""Runs a module's program that ends with the process that started it, however that ends.

`python -m tasks.ends_with_parent MODULE ARGUMENT...`, in a session of its own, with a pipe as
standard input whose other end the parent holds: when it closes, the whole session's group is ended.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _await_end_of_parent(inherited: int) -> None:
    # Not through sys.stdin, whose lock would be held while the interpreter shuts down.
    while os.read(inherited, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Runs the module that is named first, as `python -m` would."""
    threading.Thread(target=_await_end_of_parent, args=[os.dup(0)], daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
