"""A trial as a task, so that many can be fanned out."""

from __future__ import annotations

import threading
from pathlib import Path

from mirror import trials
from mirror.store import Store
from mirror.trials import Trial, TrialResult
from tasks.artifacts import show_table
from tasks.progress import Reporter
from tasks.states import report_state, stage_task

_ONE_AT_A_TIME = threading.Lock()
"""Torch's random numbers and its number of threads are the process's."""


@stage_task(task_run_name="trial-{trial.label}-{trial.seed}")
def run_trial(trial: Trial, workspace: Path) -> TrialResult:
    """Makes and scores one encoder; see `mirror.trials.run_trial`.

    May be submitted any number of times at once: within one process trials wait for each other,
    whatever the flow's task runner.
    """
    with _ONE_AT_A_TIME:
        result = trials.run_trial(trial, Store(workspace), Reporter())
    rows = [{"benchmark": name, "score": value} for name, value in result.scores.items()]
    show_table("trial", rows, f"{trial.label}, seed {trial.seed}")
    return report_state(result)
