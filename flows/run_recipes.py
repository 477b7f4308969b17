"""Flow that runs several recipes in parallel, each as a subflow; failures are independent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed, Failed

from flows.run_recipe import run_recipe
from mirror.cluster import Runner
from mirror.errors import MirrorError
from mirror.progress import ProgressEvent
from mirror.release.run_record import RunRecord
from tasks.artifacts import show_table
from tasks.local_api import temporary_api
from tasks.progress import Reporter
from tasks.runners import task_runner
from tasks.stage_task import unwrap_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOutcome:
    """Outcome of one recipe's run."""

    recipe: str
    record: RunRecord | None = None
    """None if the run failed."""
    error: str = ""
    """Message of the error, if the run failed."""

    @property
    def text(self) -> str:
        """The outcome in a few words."""
        if self.record is None:
            return f"failed: {self.error}"
        if self.record.unchanged:
            return "unchanged"
        return "promoted" if self.record.promote else "not promoted"


@task(task_run_name="{recipe}")
def run_one(recipe: str, if_changed: bool) -> RunOutcome:
    """Run a recipe as a subflow; an error becomes its outcome."""
    try:
        return RunOutcome(recipe, unwrap_state(run_recipe(recipe, if_changed=if_changed)))
    except MirrorError as error:
        return RunOutcome(recipe, error=str(error))
    except Exception as error:  # a bug in one run must not end the others
        log.exception("%s failed", recipe)
        return RunOutcome(recipe, error=f"{type(error).__name__}: {error}")


@flow
def run_recipes(recipes: list[str], if_changed: bool = False) -> State[list[RunOutcome]]:
    """Run recipes in parallel, as many at a time as the flow's task runner allows.

    Args:
        recipes: names, or paths of `.toml` files.
        if_changed: a run stops if recipe, base and text are close to its champion's.

    Returns:
        A state with all outcomes; a failed one, with the names, if any run failed.
    """
    report = Reporter()
    runs = [run_one.submit(recipe, if_changed) for recipe in recipes]
    outcomes = []
    for done, run in enumerate(runs):
        report(ProgressEvent("runs", done, len(runs), "recipes", recipes[done]))
        outcomes.append(run.result())
    rows = [{"recipe": outcome.recipe, "outcome": outcome.text} for outcome in outcomes]
    show_table("runs", rows, f"{len(outcomes)} recipes")
    failed = [outcome.recipe for outcome in outcomes if outcome.record is None]
    if failed:
        message = f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}"
        return Failed(message=message, data=outcomes)
    return Completed(message=f"{len(outcomes)} runs", data=outcomes)


def start_runs(
    recipes: Sequence[str], runner: Runner, jobs: int, if_changed: bool = False
) -> list[RunOutcome]:
    """Run recipes from a terminal.

    Args:
        recipes: names, or paths of `.toml` files.
        runner: kind of task runner.
        jobs: number of runs at the same time.
        if_changed: as for `run_recipes`.

    Raises:
        InputError: the runner is not installed.
        ServiceError: the Prefect server does not answer.
    """
    parallel = run_recipes.with_options(task_runner=task_runner(runner, jobs))
    with temporary_api() as wait_for_api:
        wait_for_api()
        state = parallel(list(recipes), if_changed, return_state=True)
        result: Any = state.result(raise_on_failure=False)
    if isinstance(result, Exception):  # the flow itself failed
        raise result
    outcomes: list[RunOutcome] = result
    return outcomes
