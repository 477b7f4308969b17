"""Studies as tasks: planned and checked, fanned out as trials, and reported."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from mirror.encoders.base_model import find_base
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import (
    BenchmarkError,
    MirrorError,
    SampleError,
    StoreError,
    StudyError,
    TuningError,
)
from mirror.evaluation.benchmark import read_definition
from mirror.experiments import plan as study_plan
from mirror.experiments import report as study_report
from mirror.experiments import trial as study_trial
from mirror.experiments.bases import without_folders
from mirror.experiments.paper_plan import PaperOptions, plan_paper
from mirror.experiments.plan import CellKey, ExperimentPlan, StudyOptions
from mirror.experiments.report import Report
from mirror.experiments.results import Measured, Values, measure_cells
from mirror.experiments.study import find_study
from mirror.experiments.trial import Trial, TrialKey, TrialResult
from mirror.hardware import usable_cores
from mirror.progress import ProgressEvent
from mirror.recipe import Recipe
from mirror.run_context import RunContext
from mirror.run_data import RunData
from mirror.store import StageRecord, Store
from mirror.tuning.device_lock import RUNS_PER_DEVICE
from tasks.artifacts import show_markdown, show_table
from tasks.environment import workspace_root
from tasks.preflight import check_space
from tasks.progress import Reporter
from tasks.registry import fetch_model
from tasks.retries import RETRIES
from tasks.stage_task import cached_task
from tasks.stages import draw_sample, gather_pairs, ingest_corpus

Result = TypeVar("Result")


@task(task_run_name="plan-{name}", **RETRIES)
def plan_trials(name: str, options: StudyOptions | PaperOptions) -> ExperimentPlan:
    """Plan a study, or the paper's tables."""
    return find_plan(name, options)


def find_plan(name: str, options: StudyOptions | PaperOptions) -> ExperimentPlan:
    """Plan a study or the paper's tables, outside Prefect."""
    root = workspace_root()
    store = Store(root)
    check_space(root)
    if isinstance(options, PaperOptions):
        return plan_paper(options, store)
    find = partial(find_base, from_registry=partial(fetch_model, workspace=root))
    return study_plan.plan_study(find_study(name), options, find, store)


def draw_samples(plan: ExperimentPlan, workspace: Path) -> None:
    """Make a study's corpora and samples before the first trial, so that faults show first.

    Raises:
        StudyError: a corpus has fewer strings than a variant needs, or label-free retrieval has too
            few passages left.
    """
    for recipe in plan.samples if plan.study else ():
        run = RunContext(recipe, Store(workspace))
        corpus = ingest_corpus(run)
        try:
            sample = draw_sample(run, corpus)
            pairs = gather_pairs(run) if recipe.pairs else None
            _check_passages(recipe, RunData(corpus, sample, pairs))
        except (SampleError, BenchmarkError) as fault:
            raise StudyError(
                f"{plan.name}: {fault}; or remove that variant from a copy of the study's file, "
                "and name the copy"
            ) from fault


def _check_passages(recipe: Recipe, data: RunData) -> None:
    """Raise BenchmarkError if the run has too few texts for one of its benchmarks."""
    for benchmark in map(read_definition, recipe.evaluation.benchmarks):
        if benchmark.NEEDS_RUN:
            benchmark.load(data)


@cached_task(task_run_name="trial-{trial.label}-{trial.seed}")
def run_trial(trial: Trial, workspace: Path) -> TrialResult:
    """Make and score one encoder.

    May be submitted any number of times: trials of one process wait for each other.
    """
    result = study_trial.run_trial(trial, Store(workspace), Reporter())
    rows = [{"benchmark": name, "score": value} for name, value in result.scores.items()]
    show_table("trial", rows, f"{trial.label}, seed {trial.seed}")
    return result


@cached_task(task_run_name="pair-{first.label}-{second.label}-{benchmark}")
def score_pair(
    first: EncoderRef, second: EncoderRef, benchmark: str, workspace: Path
) -> StageRecord:
    """Score two encoders on a bilingual lexicon."""
    return study_trial.score_pair(first, second, benchmark, Store(workspace))


def trial_runner(jobs: int = 1) -> TaskRunner[Any]:
    """Return a task runner for trials: one after another, or in `jobs` processes.

    Processes share the cores, unless OMP_NUM_THREADS is set, and all may tune on the device at the
    same time, unless MIRROR_RUNS_PER_DEVICE is set.
    """
    if jobs == 1:
        return ThreadPoolTaskRunner(max_workers=1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // jobs)))
    os.environ.setdefault(RUNS_PER_DEVICE, str(jobs))
    return ProcessPoolTaskRunner(max_workers=jobs)


def await_trials(
    plan: ExperimentPlan, futures: Sequence[PrefectFuture[TrialResult]]
) -> tuple[dict[TrialKey, TrialResult], dict[TrialKey, str]]:
    """Return the results of a plan's trials, and why other trials have none.

    In a study, settings that cannot be tuned with leave their cells empty. In the paper's tables,
    so does any fault but one of the workspace.

    Raises:
        MirrorError: any other fault.
    """
    report = Reporter()
    tolerated = TuningError if plan.study else MirrorError
    results: dict[TrialKey, TrialResult] = {}
    faults: dict[TrialKey, str] = {}
    for done, (trial, future) in enumerate(zip(plan.trials, futures, strict=True)):
        report(ProgressEvent("trials", done, len(futures), "trials", trial.label))
        result = _result_or_reason(future, tolerated)
        if isinstance(result, str):
            faults[trial.key] = result
        else:
            results[trial.key] = result
    return results, faults


def score_pairs(
    plan: ExperimentPlan, results: Mapping[TrialKey, TrialResult], workspace: Path
) -> dict[CellKey, Measured]:
    """Score the two encoders of each bilingual lexicon, seed by seed."""
    values: dict[CellKey, Measured] = {}
    for key, cell in plan.cells.items():
        if len(cell.encoders) < 2 or not all(k in results for keys in cell.encoders for k in keys):
            continue
        futures = [
            score_pair.submit(
                results[first].encoder, results[second].encoder, cell.benchmarks[0], workspace
            )
            for first, second in zip(*cell.encoders, strict=True)
        ]
        scores: list[StageRecord | str] = []
        for future in futures:
            score = _result_or_reason(future, MirrorError)
            scores.append(score)
        reasons = [score for score in scores if isinstance(score, str)]
        if reasons:
            values[key] = Measured(reason=reasons[0])
        else:
            records = (score for score in scores if not isinstance(score, str))
            values[key] = Measured(tuple(float(record.counts["score"]) for record in records))
    return values


def _result_or_reason(future: PrefectFuture[Result], tolerated: type[MirrorError]) -> Result | str:
    """Return a task's result, or the message of a tolerated fault."""
    result = future.result(raise_on_failure=False)
    if isinstance(result, tolerated) and not isinstance(result, StoreError):
        return without_folders(str(result))
    if isinstance(result, BaseException):
        raise result
    return result


@task(task_run_name="write-report")
def write_report(
    plan: ExperimentPlan,
    results: Mapping[TrialKey, TrialResult],
    faults: Mapping[TrialKey, str],
    pairs: Values,
    workspace: Path,
    command: str,
) -> Report:
    """Write values, tables and figure into `studies/NAME/` of the workspace."""
    values = measure_cells(plan, results, faults, pairs)
    seconds = sum(r.tuning_seconds + r.evaluation.seconds for r in results.values())
    report = study_report.make_report(plan, values, seconds, command)
    study_report.write_report(report, workspace)
    show_markdown("study", study_report.render(report, "study.md.j2"), report.title)
    return report
