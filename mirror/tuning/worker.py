"""Tuning worker: a process that tunes, with the device lock, a timeout, and a stop at a checkpoint.

A thread cannot be interrupted while it computes; a process can.  The parent writes the job to the
child's standard input and keeps it open: when the parent ends or is killed, the child reads the end
of its input and stops.  The child answers with `mirror.tuning.messages`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mirror.encoders.base_settings import settle_recipe
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import MirrorError, StoppedError, TuningError
from mirror.hardware import usable_cores
from mirror.paths import CHECKOUT
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe, parse_recipe
from mirror.reuse_only import about_to_make
from mirror.shutdown import (
    GRACE_SECONDS,
    exit_with_parent,
    stop_asked,
    stop_within_grace,
    stopping_on_sigterm,
)
from mirror.store import StageRecord, Store, section_content
from mirror.tuning.device_lock import device_lock, device_name, runs_per_device
from mirror.tuning.messages import error_message, receive
from mirror.tuning.stage import tune_in_process, tuning_stage

log = logging.getLogger(__name__)

CHILD = ("-m", "mirror.tuning.worker")
STOP_SECONDS = GRACE_SECONDS + 1
"""How long the parent waits for the child to stop; the child ends itself a little earlier."""


def tune_encoder(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    store: Store,
    on_progress: OnProgress = no_progress,
    *,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """Tune the base on the sample in a worker process, or return the finished stage.

    The worker waits for the device lock, resumes from the last checkpoint, and stops at a
    checkpoint if this call ends early.

    Raises:
        MirrorError: as `mirror.tuning.stage.tune_in_process`.
        StoppedError: this process received a request to stop.
        TuningError: also if the child was killed, or `tuning.timeout_minutes` has passed.
    """
    recipe = settle_recipe(recipe, Path(base.folder))
    if record := store.find(tuning_stage(recipe, sample, base, pairs)):
        return replace(record, reused=True)
    about_to_make("the tuned encoder")
    runs_per_device()  # an invalid number is reported before the child starts
    job = {
        "recipe": section_content(recipe),
        "sample": asdict(sample),
        "base": asdict(base),
        "pairs": asdict(pairs) if pairs else None,
        "root": str(store.root),
    }
    with _child(job) as child:
        return _await_record(child, on_progress, recipe.tuning.timeout_minutes)


@contextmanager
def _child(job: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    child = subprocess.Popen(
        [sys.executable, *CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        # Ctrl-C reaches only the parent, which then stops the child at a checkpoint.
        start_new_session=True,
    )
    try:
        assert child.stdin is not None  # noqa: S101  # it is a pipe
        with suppress(BrokenPipeError):  # the child has ended; `_await_record` reports it
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()


def _await_record(
    child: subprocess.Popen[str], on_progress: OnProgress, timeout_minutes: float | None
) -> StageRecord:
    timeout = None if timeout_minutes is None else 60 * timeout_minutes
    try:
        for kind, content in receive(child, timeout=timeout):
            if kind == "progress":
                on_progress(ProgressEvent(**content))
            elif kind == "log":
                level, text = content
                log.log(level, "%s", text)
            elif kind == "record":
                return StageRecord(**content)
    except TimeoutError:
        raise TuningError(
            f"tuning was not done within tuning.timeout_minutes ({timeout_minutes:g}): run again "
            "to resume from its checkpoint, or raise it"
        ) from None
    code = child.wait()
    reason = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise TuningError(
        f"the tuning process ended with {reason} and without a message: look at this machine's "
        "memory and logs, and run again to resume from the last checkpoint"
    )


def main() -> None:
    """Read a job from standard input, tune, and send the record or the error."""
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries' output must not mix with messages
    sending = threading.Lock()

    def send(kind: str, content: Any) -> None:
        with sending, suppress(BrokenPipeError):  # the parent has ended
            output.write(json.dumps([kind, content]) + "\n")

    package_log = logging.getLogger("mirror")
    package_log.setLevel(logging.INFO)
    package_log.addHandler(_LogSender(send))
    # Read when torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // runs_per_device())))
    job = json.loads(sys.stdin.readline())
    exit_with_parent(stop_within_grace)
    try:
        with stopping_on_sigterm():
            record = _tune(job, lambda event: send("progress", asdict(event)))
            send("record", asdict(record))
    except MirrorError as error:
        send("error", error_message(error))


def _tune(job: dict[str, Any], on_progress: OnProgress) -> StageRecord:
    device = device_name()

    def wait(seconds: float) -> None:
        if stop_asked():
            raise StoppedError(f"stopped while waiting for {device}: run again")
        text = f"waiting for other runs on {device}, for {seconds:,.0f} s"
        on_progress(ProgressEvent("tune", 0, None, "steps", text))

    recipe = job["recipe"]
    with device_lock(device, wait):
        return tune_in_process(
            parse_recipe(recipe, name=recipe["name"], source=recipe["name"]),
            StageRecord(**job["sample"]),
            EncoderRef(**job["base"]),
            Store(Path(job["root"])),
            on_progress,
            pairs=StageRecord(**job["pairs"]) if job["pairs"] else None,
        )


class _LogSender(logging.Handler):
    def __init__(self, send: Any) -> None:
        super().__init__(logging.INFO)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("log", [record.levelno, record.getMessage()])


if __name__ == "__main__":
    main()
