"""Many recipes at once: a subflow for each, and one that fails leaves the others alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed, Failed

from flows.run_recipe import run_recipe
from mirror.errors import MirrorError
from mirror.progress import ProgressEvent
from mirror.release.run_record import RunRecord
from tasks.artifacts import show_table
from tasks.local_api import temporary_api
from tasks.progress import Reporter
from tasks.runners import Runner, task_runner
from tasks.stage_task import unwrap_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOutcome:
    """What became of one recipe's run."""

    recipe: str
    record: RunRecord | None = None
    """Nothing if it failed."""
    fault: str = ""
    """Why it failed."""

    @property
    def text(self) -> str:
        """In a few words."""
        if self.record is None:
            return f"failed: {self.fault}"
        if self.record.unchanged:
            return "unchanged"
        return "promoted" if self.record.promote else "not promoted"


@task(task_run_name="{recipe}")
def run_one(recipe: str, if_changed: bool) -> RunOutcome:
    """Runs a recipe as a subflow; what goes wrong is its outcome and nobody else's."""
    try:
        return RunOutcome(recipe, unwrap_state(run_recipe(recipe, if_changed=if_changed)))
    except MirrorError as fault:
        return RunOutcome(recipe, fault=str(fault))
    except Exception as fault:  # a fault of our own in one run must not end the others
        log.exception("%s failed", recipe)
        return RunOutcome(recipe, fault=f"{type(fault).__name__}: {fault}")


@flow
def run_recipes(recipes: list[str], if_changed: bool = False) -> State[list[RunOutcome]]:
    """Runs recipes side by side, as many at once as the flow's task runner takes.

    Args:
        recipes: their names.
        if_changed: each stops where its champion's recipe, base and text are as good.

    Returns:
        A failed state if any run failed, naming those; with all outcomes in either case.
    """
    report = Reporter()
    runs = [run_one.submit(recipe, if_changed) for recipe in recipes]
    outcomes = []
    for done, run in enumerate(runs):
        report(ProgressEvent("runs", done, len(runs), "recipes", recipes[done]))
        outcomes.append(run.result())
    rows = [{"recipe": found.recipe, "outcome": found.text} for found in outcomes]
    show_table("runs", rows, f"{len(outcomes)} recipes")
    failed = [found.recipe for found in outcomes if found.record is None]
    if failed:
        said = f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}"
        return Failed(message=said, data=outcomes)
    return Completed(message=f"{len(outcomes)} runs", data=outcomes)


def start_runs(
    recipes: Sequence[str], runner: Runner, jobs: int, if_changed: bool = False
) -> list[RunOutcome]:
    """As `run_recipes`, for a person at a terminal.

    Raises:
        InputError: the runner is not installed.
        ServiceError: the Prefect server does not answer.
    """
    fanned = run_recipes.with_options(task_runner=task_runner(runner, jobs))
    with temporary_api() as wait_for_api:
        wait_for_api()
        state = fanned(list(recipes), if_changed, return_state=True)
        came: Any = state.result(raise_on_failure=False)
    if isinstance(came, Exception):  # the flow itself failed
        raise came
    outcomes: list[RunOutcome] = came
    return outcomes
