"""A study on the terminal: how far it is, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.running import progress_shown
from mirror.progress import OnProgress, ProgressEvent, describe

if TYPE_CHECKING:
    from mirror.experiments.plan import StudyOptions
    from mirror.experiments.results import StudyOutcome
    from mirror.experiments.study import Study


def print_study(name: str, wanted: StudyOptions, at_once: int, out: Console, err: Console) -> None:
    """Runs a study, saying first how much there is to do."""
    from mirror.experiments.study import find_study

    find_study(name)  # a fault in it shows at once, not after Prefect's seconds
    with progress_shown(err, TrialProgress):
        from flows.run_study import start_study
        from tasks.environment import workspace_root
        from tasks.studies import find_plan, study_folder

        plan = find_plan(name, wanted)
        err.print(plan.estimate(), markup=False, highlight=False, soft_wrap=True)
        outcome = start_study(name, wanted, at_once)
    show_outcome(outcome, out)
    folder = study_folder(outcome.name, workspace_root())
    for file in ("table.md", "figure.svg", "results.json"):
        out.print(Text(str(folder / file)), soft_wrap=True)


class TrialProgress:
    """All trials as one line: how many are done, and what the present one does."""

    def __init__(self, shown: OnProgress) -> None:
        self._shown = shown
        self._trials = ProgressEvent("trials", 0, None, "trials")

    def __call__(self, progress: ProgressEvent) -> None:
        """Takes one sign of life."""
        if progress.stage == self._trials.stage:
            self._trials = progress
            self._shown(progress)
        elif self._trials.total is None:  # corpora and samples, before the first trial
            self._shown(progress)
        else:
            self._shown(replace(self._trials, text=describe(progress)))


def show_outcome(outcome: StudyOutcome, console: Console) -> None:
    """Prints a table for each level."""
    from mirror.experiments.results import in_the_paper, setting, table_cells

    console.print()
    console.print(Text(outcome.title, "bold"))
    console.print(Text(in_the_paper(outcome), "dim"))
    for level in outcome.levels():
        head, *body = table_cells(outcome.at(level), outcome.axis)
        title = Text(f"{level}s") if len(outcome.levels()) > 1 else None
        table = _table(title)
        for number, name in enumerate(head):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for cells in body:
            table.add_row(*map(Text, cells))
        console.print(table)
    console.print(Text(setting(outcome), "dim"))


def study_table(studies: Sequence[Study]) -> Table:
    """Studies and what they are about."""
    table = _table()
    table.add_column("study", no_wrap=True)
    for name in ("what it is about", "in the paper", "levels", "encoders"):
        table.add_column(name, overflow="fold")
    for study in studies:
        count = len(study.all_points) * len(study.levels)
        row = (study.name, study.title, study.source, ", ".join(study.levels), count)
        table.add_row(*(Text(str(value)) for value in row))
    return table


def _table(title: Text | None = None) -> Table:
    return Table(
        title=title, title_justify="left", header_style="dim", box=SIMPLE_HEAD, pad_edge=False
    )
