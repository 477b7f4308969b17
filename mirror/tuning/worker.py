"""Tuning in a process of its own: with a deadline, and stopped at a checkpoint when asked.

A thread cannot be interrupted while it computes, and a process can.  The parent writes the job to
the child's standard input and keeps it open: when the parent dies, however it dies, the child reads
the end and stops too.  The child answers with lines of JSON.
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

from mirror import errors
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import MirrorError, TuningError
from mirror.hardware import thread_count
from mirror.paths import CHECKOUT
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe, parse_recipe
from mirror.store import StageRecord, Store, section_content
from mirror.tuning.device_lock import runs_per_device
from mirror.tuning.device_queue import tune_with_device_lock
from mirror.tuning.stage import tuning_stage

log = logging.getLogger(__name__)

CHILD = ("-m", "mirror.tuning.worker")
STOP_SECONDS = 9.0
"""How long the child may take to stop; its own watch is a little shorter."""


def tune_in_subprocess(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    store: Store,
    on_progress: OnProgress = no_progress,
    *,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """As `mirror.tuning.stage.tune_encoder`, in a process of its own if there is anything to make.

    Whatever ends this call ends the child, within seconds and with a checkpoint.

    Raises:
        MirrorError: as `tune_encoder`.
        TuningError: also where the child dies, or `tuning.timeout_minutes` is over.
    """
    if found := store.find(tuning_stage(recipe, sample, base, pairs)):
        return replace(found, reused=True)
    runs_per_device()  # a wrong number shows at once
    job = {
        "recipe": section_content(recipe),
        "sample": asdict(sample),
        "base": asdict(base),
        "pairs": asdict(pairs) if pairs else None,
        "root": str(store.root),
    }
    with _child(job) as child:
        minutes = recipe.tuning.timeout_minutes
        return _answer(child, on_progress, None if minutes is None else 60 * minutes)


@contextmanager
def _child(job: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    child = subprocess.Popen(
        [sys.executable, *CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        # Ctrl-C is for the parent, which then ends the child in its own way.
        start_new_session=True,
    )
    try:
        assert child.stdin is not None  # noqa: S101  # it is a pipe
        with suppress(BrokenPipeError):  # it is dead, which its end will tell
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
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


def _answer(
    child: subprocess.Popen[str], on_progress: OnProgress, seconds: float | None
) -> StageRecord:
    """Reads what the child says until its record or its fault."""
    late = threading.Event()
    watch = threading.Timer(seconds or 0, _stop_late, [child, late])
    watch.daemon = True
    if seconds is not None:
        watch.start()
    try:
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        for line in child.stdout:
            kind, content = json.loads(line)
            if kind == "progress":
                on_progress(ProgressEvent(**content))
            elif kind == "log":
                level, text = content
                log.log(level, "%s", text)
            elif kind == "record":
                return StageRecord(**content)
            elif kind == "fault" and not late.is_set():
                raise getattr(errors, content["kind"])(content["text"])
    finally:
        watch.cancel()
    code = child.wait()
    if late.is_set():
        raise TuningError(
            f"tuning was not done within tuning.timeout_minutes ({(seconds or 0) / 60:g}): run "
            "again to go on from its checkpoint, or raise it"
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise TuningError(
        f"the process that tuned ended with {how} and without a word: look at this machine's "
        "memory and logs, and run again to go on from the last checkpoint"
    )


def _stop_late(child: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    child.terminate()


def main() -> None:
    """The child: reads a job, tunes, and says what came of it."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    speaking = threading.Lock()

    def say(kind: str, content: Any) -> None:
        with speaking, suppress(BrokenPipeError):  # no one is left to hear it
            answers.write(json.dumps([kind, content]) + "\n")

    ours = logging.getLogger("mirror")
    ours.setLevel(logging.INFO)
    ours.addHandler(_Lines(say))
    # As many as this run's share of the processor; read when torch is imported.
    os.environ["OMP_NUM_THREADS"] = str(max(1, thread_count() // runs_per_device()))
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_await_end_of_parent, daemon=True).start()
    from mirror.shutdown import stopping_on_sigterm

    try:
        with stopping_on_sigterm():
            say("record", asdict(_tune(job, lambda sign: say("progress", asdict(sign)))))
    except MirrorError as fault:
        say("fault", {"kind": type(fault).__name__, "text": str(fault)})


def _tune(job: dict[str, Any], on_progress: OnProgress) -> StageRecord:
    content = job["recipe"]
    return tune_with_device_lock(
        parse_recipe(content, name=content["name"], place=content["name"]),
        StageRecord(**job["sample"]),
        EncoderRef(**job["base"]),
        Store(Path(job["root"])),
        on_progress,
        pairs=StageRecord(**job["pairs"]) if job["pairs"] else None,
    )


def _await_end_of_parent() -> None:
    from mirror.shutdown import GRACE_SECONDS, ask_to_stop, end_after

    sys.stdin.read()
    end_after(GRACE_SECONDS)
    ask_to_stop()


class _Lines(logging.Handler):
    def __init__(self, say: Any) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say("log", [record.levelno, record.getMessage()])


if __name__ == "__main__":
    main()
