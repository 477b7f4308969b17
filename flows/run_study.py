"""One of the paper's analyses: its encoders fanned out as tasks, its table and its figure."""

from __future__ import annotations

from prefect import flow

from mirror.experiments.plan import StudyOptions
from mirror.experiments.results import StudyOutcome
from mirror.shutdown import stopping_on_interrupt
from tasks import studies, trials
from tasks.environment import workspace_root
from tasks.local_api import temporary_api

EVERYTHING = StudyOptions()


@flow(flow_run_name="{name}", task_runner=trials.trial_runner())
def run_study(name: str, wanted: StudyOptions = EVERYTHING) -> StudyOutcome:
    """Runs a study; every trial that was made before is reused.

    Args:
        name: the study's name, or a path that ends in `.toml`.
        wanted: base, strings, benchmarks, levels and seeds, where not the study's own.

    Raises:
        MirrorError: something is wrong; trials that ended are kept.
    """
    workspace = workspace_root()
    plan = studies.plan_study(name, wanted)
    studies.draw_samples(plan, workspace)
    with stopping_on_interrupt():
        runs = [trials.run_trial.submit(trial, workspace) for trial in plan.trials]
        results, faults = trials.await_trials(plan.trials, runs)
    return studies.write_study(plan, results, faults, workspace)


def start_study(name: str, wanted: StudyOptions, at_once: int = 1) -> StudyOutcome:
    """As `run_study`, for a person at a terminal, with so many trials at once."""
    with temporary_api() as wait_for_api:
        wait_for_api()
        return run_study.with_options(task_runner=trials.trial_runner(at_once))(name, wanted)
