"""Stopping a computation on request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from mirror.paths import CHECKOUT

COMPUTING = """
import sys, time
from mirror.shutdown import stop_asked, stopping_on_sigterm
with stopping_on_sigterm(grace=float(sys.argv[1])):
    print("ready", flush=True)
    while not (stop_asked() and sys.argv[2] == "heeds"):
        time.sleep(0.01)
print("left", flush=True)
"""


def stop(grace: str, manner: str) -> tuple[int, str, float]:
    """Exit code, last words and seconds of a process that gets SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMPUTING, grace, manner],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    process.terminate()
    words, _ = process.communicate(timeout=60)
    return process.returncode, words, time.monotonic() - began


def test_a_computation_stops_on_request() -> None:
    assert stop("30", "heeds")[:2] == (0, "left\n")


def test_a_process_that_ignores_the_request_ends_after_the_grace_period() -> None:
    code, words, seconds = stop("0.5", "deaf")
    assert (code, words) == (128 + signal.SIGTERM, "")
    assert seconds >= 0.5
