"""Studies as tasks: laid out and checked before anything runs, and written down after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from prefect import task

from mirror.encoders.base_model import find_base
from mirror.errors import BenchmarkError, SampleError, StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.experiments import plan as study_plan
from mirror.experiments.figure import draw_figure
from mirror.experiments.plan import StudyOptions, StudyPlan
from mirror.experiments.results import StudyOutcome, conclude, markdown, write_outcome
from mirror.experiments.study import find_study
from mirror.experiments.trial import TrialResult
from mirror.recipe import Recipe
from mirror.run_context import RunContext
from mirror.run_data import RunData
from mirror.store import Store
from tasks.artifacts import show_markdown
from tasks.environment import workspace_root
from tasks.preflight import check_space
from tasks.registry import fetch_model
from tasks.retries import RETRIES
from tasks.stages import draw_sample, gather_pairs, ingest_corpus

FOLDER = "studies"


@task(task_run_name="plan_study", **RETRIES)
def plan_study(name: str, wanted: StudyOptions) -> StudyPlan:
    """Lays out a study's trials; see `mirror.experiments.plan.plan_study`."""
    return find_plan(name, wanted)


def find_plan(name: str, wanted: StudyOptions) -> StudyPlan:
    """As `plan_study`, outside Prefect."""
    root = workspace_root()
    store = Store(root)
    check_space(root)
    find = partial(find_base, from_registry=partial(fetch_model, workspace=root))
    return study_plan.plan_study(find_study(name), wanted, find, store)


def draw_samples(plan: StudyPlan, workspace: Path) -> None:
    """Makes every corpus and sample before the first trial, so that what they lack shows first.

    Raises:
        StudyError: a corpus has not as many strings as a point asks for, or label-free retrieval
            has too few passages left.
    """
    for recipe in plan.samples:
        run = RunContext(recipe, Store(workspace))
        corpus = ingest_corpus(run)
        try:
            sample = draw_sample(run, corpus)
            pairs = gather_pairs(run) if recipe.pairs else None
            _check_passages(recipe, RunData(corpus, sample, pairs))
        except (SampleError, BenchmarkError) as fault:
            raise StudyError(
                f"{plan.study.name}: {fault}; or leave that point out in a copy of the study's "
                "file, and name the copy"
            ) from fault


def _check_passages(recipe: Recipe, run: RunData) -> None:
    """Raise BenchmarkError if the run has too few texts for one of its benchmarks."""
    for benchmark in map(read_definition, recipe.evaluation.benchmarks):
        if benchmark.NEEDS_RUN:
            benchmark.load(run)


@task(task_run_name="write_study")
def write_study(
    plan: StudyPlan,
    results: Sequence[TrialResult],
    faults: Mapping[tuple[str, int], str],
    workspace: Path,
) -> StudyOutcome:
    """Writes scores, table and figure into `studies/NAME/` of the workspace."""
    outcome = conclude(plan, results, faults)
    write_outcome(outcome, draw_figure(outcome), study_folder(outcome.name, workspace))
    show_markdown("study", markdown(outcome), outcome.title)
    return outcome


def study_folder(name: str, workspace: Path) -> Path:
    """Where a study's results are."""
    return workspace / FOLDER / name
