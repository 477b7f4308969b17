"""A trial as a task, so that many can be fanned out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from mirror.errors import TuningError
from mirror.experiments.trial import Trial, TrialResult
from mirror.experiments.trial import run_trial as score_trial
from mirror.hardware import usable_cores
from mirror.progress import ProgressEvent
from mirror.store import Store
from mirror.tuning.device_lock import RUNS_PER_DEVICE
from tasks.artifacts import show_table
from tasks.progress import Reporter
from tasks.stage_task import cached_task


@cached_task(task_run_name="trial-{trial.label}-{trial.seed}")
def run_trial(trial: Trial, workspace: Path) -> TrialResult:
    """Makes and scores one encoder; see `mirror.experiments.trial.run_trial`.

    May be submitted any number of times at once: within one process trials wait for each other,
    whatever the flow's task runner.
    """
    result = score_trial(trial, Store(workspace), Reporter())
    rows = [{"benchmark": name, "score": value} for name, value in result.scores.items()]
    show_table("trial", rows, f"{trial.label}, seed {trial.seed}")
    return result


def trial_runner(at_once: int = 1) -> TaskRunner[Any]:
    """What a flow of trials submits them to: one after the other, or so many processes at once.

    Processes share the cores between them, unless OMP_NUM_THREADS says otherwise; and so many may
    tune on the device at a time, unless MIRROR_RUNS_PER_DEVICE does.
    """
    if at_once == 1:
        return ThreadPoolTaskRunner(max_workers=1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // at_once)))
    os.environ.setdefault(RUNS_PER_DEVICE, str(at_once))
    return ProcessPoolTaskRunner(max_workers=at_once)


def await_trials(
    tried: Sequence[Trial], runs: Sequence[PrefectFuture[TrialResult]]
) -> tuple[list[TrialResult], dict[tuple[str, int], str]]:
    """Results of trials that were submitted, and by label and seed why some have none.

    Settings that cannot be tuned with are a result too; whatever else goes wrong is raised.
    """
    report = Reporter()
    results, faults = [], {}
    for done, (trial, run) in enumerate(zip(tried, runs, strict=True)):
        report(ProgressEvent("trials", done, len(runs), "trials", trial.label))
        try:
            results.append(run.result())
        except TuningError as fault:
            faults[trial.label, trial.seed] = str(fault)
    return results, faults
