"""One model tuned by several processes: torchrun starts them, and this one listens."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mirror import errors
from mirror.errors import StoppedError, TuningError
from mirror.hardware import thread_count
from mirror.paths import CHECKOUT
from mirror.shutdown import stop_asked
from mirror.tuning.step import OnStep, TuningStep
from mirror.tuning.views import TextPair
from mirror.tuning_config import TuningSection

JOB = "job.json"
STOP_SECONDS = 7.0
LOOK_SECONDS = 0.2
WORD = "mirror: "
"""What begins a line that is meant for the process that listens."""


def tune_distributed(
    settings: TuningSection, items: Sequence[TextPair], folders: Mapping[str, Path], on_step: OnStep
) -> Mapping[str, Any]:
    """As `mirror.tuning.tune.tune`, by `settings.num_processes` processes on this machine.

    Args:
        settings: a recipe's `[tuning]`.
        items: pairs.
        folders: `base`, `out` and `work`.
        on_step: told of each step.

    Raises:
        MirrorError: as `mirror.tuning.tune.tune`.
        StoppedError: the end was asked for; there is a checkpoint.
    """
    job = {
        "settings": settings.model_dump(mode="json"),
        "items": [[item.first, item.second] for item in items],
        "folders": {name: str(folder) for name, folder in folders.items()},
    }
    place = folders["work"] / JOB
    place.write_text(json.dumps(job), encoding="utf-8")
    process = _start(settings.num_processes, place)
    try:
        return _listen(process, on_step)
    finally:
        _end(process)
        place.unlink(missing_ok=True)


def _start(processes: int, job: Path) -> subprocess.Popen[str]:
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = max(1, thread_count() // processes)
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", "mirror.tuning.distributed_worker", str(job)],
        stdin=subprocess.PIPE,  # its end tells the ranks that no one listens any more
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | own,
    )


def _listen(process: subprocess.Popen[str], on_step: OnStep) -> Mapping[str, Any]:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    while not stop_asked():
        try:
            line = lines.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            raise TuningError(
                f"the processes that tuned together ended with exit code {process.wait()}: what "
                "they said stands above; run again to go on from the last checkpoint"
            )
        kind, content = json.loads(line)
        if kind == "step":
            on_step(TuningStep(**content))
        elif kind == "counts":
            counts: Mapping[str, Any] = content
            return counts
        else:
            raise getattr(errors, content["kind"])(content["text"])
    raise StoppedError("tuning was stopped: run again to go on from its checkpoint")


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    for line in process.stdout:
        if line.startswith(WORD):
            lines.put(line.removeprefix(WORD))
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
