"""Distributed tuning: torchrun's processes, and the parent that reads rank 0's messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirror.errors import TuningError
from mirror.hardware import thread_count
from mirror.paths import CHECKOUT
from mirror.tuning.guard import Guard
from mirror.tuning.items import Item
from mirror.tuning.messages import receive
from mirror.tuning.training_log import OnStep, TuningStep
from mirror.tuning_config import TuningSection

JOB = "job.json"
STOP_SECONDS = 7.0
MESSAGE = "mirror: "
"""Start of the lines that are meant for the listener."""


def tune_distributed(
    settings: TuningSection,
    items: Sequence[Item],
    folders: Mapping[str, Path],
    on_step: OnStep,
    guard: Guard | None = None,
) -> Mapping[str, Any]:
    """Tune as `mirror.tuning.trainer.tune`, in `settings.num_processes` processes.

    Args:
        settings: a recipe's `[tuning]`.
        items: pairs and documents.
        folders: `base`, `out` and `work`.
        on_step: called after each step.
        guard: as in `tune`.
    """
    job = {
        "settings": settings.model_dump(mode="json"),
        "items": [asdict(item) for item in items],
        "guard": asdict(guard) if guard else None,
        "folders": {name: str(folder) for name, folder in folders.items()},
    }
    job_file = folders["work"] / JOB
    job_file.write_text(json.dumps(job), encoding="utf-8")
    process = _start(settings.num_processes, job_file)
    try:
        return _listen(process, on_step)
    finally:
        _end(process)
        job_file.unlink(missing_ok=True)


def _start(num_processes: int, job_file: Path) -> subprocess.Popen[str]:
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = max(1, thread_count() // num_processes)
    environment = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", "mirror.tuning.distributed_worker", str(job_file)],
        stdin=subprocess.PIPE,  # its end tells the processes that the listener has ended
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def _listen(process: subprocess.Popen[str], on_step: OnStep) -> Mapping[str, Any]:
    for kind, content in receive(process, MESSAGE):
        if kind == "step":
            on_step(TuningStep(**content))
        elif kind == "counts":
            counts: Mapping[str, Any] = content
            return counts
    raise TuningError(
        f"the distributed tuning processes ended with exit code {process.wait()}: see their "
        "output above; run again to resume from the last checkpoint"
    )


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
