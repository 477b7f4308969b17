"""The paper's tables: every encoder that they ask for, as far as this machine can make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from mirror.errors import MirrorError, StoreError
from mirror.experiments.bases import BasePlaces
from mirror.experiments.environment import machine, versions
from mirror.experiments.paper_cells import Outcome, Side, Value, fill_table
from mirror.experiments.paper_formatting import without_folders
from mirror.experiments.paper_jobs import Job, Key, Work, find_work
from mirror.experiments.paper_pairs import SCORE, encoder_place
from mirror.experiments.paper_plan import Cell, Place, cells_of, make_plan
from mirror.experiments.paper_report import Report
from mirror.experiments.paper_verdicts import Measured
from mirror.experiments.published import read_tables
from mirror.progress import ProgressEvent
from mirror.shutdown import stopping_on_interrupt
from mirror.store import Store
from tasks import paper, trials
from tasks.environment import workspace_root
from tasks.local_api import temporary_api
from tasks.progress import Reporter

Result = TypeVar("Result")
ONE_AT_A_TIME: Any = ThreadPoolTaskRunner(max_workers=1)
"""Trials of one process wait for each other anyhow."""


@flow(name="run-paper", task_runner=ONE_AT_A_TIME)
def run_paper(
    tables: tuple[str, ...], seeds: tuple[int, ...], places: BasePlaces, command: str = ""
) -> Report:
    """Fills the paper's tables; what was made once is reused.

    Args:
        tables: as the paper counts them, for example `T3`; nothing means all.
        seeds: each encoder is tuned once for each.
        places: where bases are looked for, and what stands in for them.
        command: what makes the report again, for people.

    Raises:
        PaperError: there is no such table.
        StoreError: the workspace cannot be written.
    """
    workspace = workspace_root()
    store = Store(workspace)
    chosen, plan = read_tables(tables), make_plan(read_tables())
    cells = [cell for table in chosen for cell in cells_of(table)]
    ours, other = (
        find_work(cells, plan, places, store, stand_in=stand_in) for stand_in in (False, True)
    )
    with stopping_on_interrupt():
        outcomes = run_jobs({**other.jobs, **ours.jobs}, seeds, workspace)
        pairs = [run_pairs(cells, work, outcomes, workspace) for work in (ours, other)]
    sides = [Side(ours, outcomes, pairs[0]), Side(other, outcomes, pairs[1])]
    return Report(
        tables=tuple(fill_table(table, cells, plan, *sides) for table in chosen),
        seeds=seeds,
        bases={job.base.origin: job.base.digest for job in ours.jobs.values()},
        stand_ins={
            job.recipe.language: f"{job.base.origin} ({job.base.digest[:12]})"
            for job in other.jobs.values()
        },
        machine=machine(),
        versions=versions(),
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        seconds=_seconds(outcomes),
        command=command,
    )


def run_jobs(jobs: Mapping[Key, Job], seeds: Sequence[int], workspace: Path) -> dict[Key, Outcome]:
    """Runs all trials of all jobs, fanned out as tasks; one that fails leaves the others be.

    Raises:
        StoreError: the workspace cannot be written, which none of them would survive.
    """
    futures = {
        key: [trials.run_trial.submit(trial, workspace) for trial in job.trials(seeds)]
        for key, job in jobs.items()
    }
    tell, total = Reporter(), sum(len(waiting) for waiting in futures.values())
    outcomes: dict[Key, Outcome] = {}
    done = 0
    for key, waiting in futures.items():
        tell(ProgressEvent("tables", done, total, "trials", jobs[key].recipe.name))
        outcomes[key] = Outcome(*_gathered(waiting))
        done += len(waiting)
    return outcomes


def run_pairs(
    cells: Sequence[Cell], work: Work, outcomes: Mapping[Key, Outcome], workspace: Path
) -> dict[Place, Value]:
    """Scores the two encoders of each lexicon's cells, seed by seed.

    Raises:
        StoreError: the workspace cannot be written.
    """
    values = {}
    for cell in cells:
        keys = work.keys.get(cell.place, ())
        if len(keys) == 1 or not all(outcomes[key].results for key in keys):
            continue
        sides = [
            [encoder_place(work.jobs[key], result) for result in outcomes[key].results]
            for key in keys
        ]
        futures = [
            paper.score_pair.submit(first, second, cell.benchmark, workspace)
            for first, second in zip(*sides, strict=True)
        ]
        found, reason = _gathered(futures)
        scores = tuple(float(record.counts[SCORE]) for record in found)
        values[cell.place] = Value(Measured(scores) if scores else None, reason)
    return values


def _gathered(futures: Sequence[PrefectFuture[Result]]) -> tuple[tuple[Result, ...], str]:
    """All results, or none and why one of them failed."""
    results = []
    for future in futures:
        found = future.result(raise_on_failure=False)
        if isinstance(found, MirrorError) and not isinstance(found, StoreError):
            return (), without_folders(str(found))
        if isinstance(found, BaseException):
            raise found
        results.append(found)
    return tuple(results), ""


def _seconds(outcomes: Mapping[Key, Outcome]) -> float:
    """What the results took to make, whenever that was."""
    return sum(
        result.tuning_seconds + result.evaluation.seconds
        for outcome in outcomes.values()
        for result in outcome.results
    )


def start_paper(
    tables: tuple[str, ...], seeds: tuple[int, ...], places: BasePlaces, command: str = ""
) -> Report:
    """As `run_paper`, for a person at a terminal: a fault shows before Prefect is waited for."""
    read_tables(tables)
    Store(workspace_root())
    with temporary_api() as wait_for_api:
        wait_for_api()
        return run_paper(tables, seeds, places, command)
