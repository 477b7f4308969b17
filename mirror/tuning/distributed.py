"""Distributed tuning: torchrun's processes, and the parent that reads rank 0's messages.

`tune_distributed` runs in the parent, `main` in each process that torchrun starts.
"""

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

from mirror.errors import MirrorError, TuningError
from mirror.hardware import thread_count
from mirror.paths import CHECKOUT
from mirror.shutdown import exit_with_parent, stop_within_grace, stopping_on_sigterm
from mirror.tuning.guard import Guard
from mirror.tuning.items import DocumentItem, Item, TextPair
from mirror.tuning.messages import error_message, receive
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

    Raises:
        MirrorError: as `mirror.tuning.trainer.tune`.
        StoppedError: a stop was asked for; there is a checkpoint.
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
        [sys.executable, *torchrun, "-m", "mirror.tuning.distributed", str(job_file)],
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


def main(job_file: Path) -> None:
    """Tune by the job in the file, as one process of the group; the first sends the messages."""
    from mirror.tuning.process_group import process_group
    from mirror.tuning.trainer import TrainingPaths, tune

    job = json.loads(job_file.read_text(encoding="utf-8"))
    folders = {name: Path(folder) for name, folder in job["folders"].items()}
    items = [_item(fields) for fields in job["items"]]
    settings = TuningSection.model_validate_json(json.dumps(job["settings"]))
    exit_with_parent(stop_within_grace)
    with stopping_on_sigterm(), process_group() as group:

        def send(kind: str, content: Any) -> None:
            if group.is_first:
                print(MESSAGE + json.dumps([kind, content]), flush=True)  # noqa: T201

        try:
            counts = tune(
                settings,
                items,
                TrainingPaths(**folders),
                lambda step: send("step", asdict(step)),
                Guard(**job["guard"]) if job["guard"] else None,
            )
            send("counts", dict(counts))
        except MirrorError as error:
            send("error", error_message(error))


def _item(fields: Mapping[str, Any]) -> Item:
    if "first" in fields:
        return TextPair(**fields)
    return DocumentItem(**{**fields, "sentences": tuple(fields["sentences"])})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
