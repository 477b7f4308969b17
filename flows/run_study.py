"""Study, or the paper's tables: its encoders fanned out as tasks, its report and figure."""

from __future__ import annotations

from prefect import flow

from mirror.experiments.paper_plan import PaperOptions
from mirror.experiments.plan import StudyOptions
from mirror.experiments.report import Report
from mirror.shutdown import stopping_on_interrupt
from tasks import trials
from tasks.environment import workspace_root
from tasks.local_api import temporary_api

DEFAULTS = StudyOptions()


@flow(flow_run_name="{name}", task_runner=trials.trial_runner())
def run_study(
    name: str, options: StudyOptions | PaperOptions = DEFAULTS, command: str = ""
) -> Report:
    """Run a study; trials that were made before are reused.

    Args:
        name: the study's name, a path that ends in `.toml`, or `paper` for the paper's tables.
        options: base, strings, benchmarks, levels and seeds of a study; or those of the paper.
        command: the command that repeats it, for the report.

    Raises:
        MirrorError: a step failed; finished trials are kept.
    """
    workspace = workspace_root()
    plan = trials.plan_trials(name, options)
    trials.draw_samples(plan, workspace)
    with stopping_on_interrupt():
        futures = [trials.run_trial.submit(trial, workspace) for trial in plan.trials]
        results, faults = trials.await_trials(plan, futures)
        pairs = trials.score_pairs(plan, results, workspace)
    return trials.write_report(plan, results, faults, pairs, workspace, command)


def start_study(
    name: str, options: StudyOptions | PaperOptions, jobs: int = 1, command: str = ""
) -> Report:
    """Run a study from a terminal, with `jobs` trials at the same time."""
    with temporary_api() as wait_for_api:
        wait_for_api()
        flow_of_trials = run_study.with_options(task_runner=trials.trial_runner(jobs))
        return flow_of_trials(name, options, command)
