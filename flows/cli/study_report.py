"""Studies on the terminal: progress, tables and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.cli.progress import task_progress
from flows.cli.tables import plain_table
from mirror.progress import OnProgress, ProgressEvent, describe

if TYPE_CHECKING:
    from mirror.experiments.paper_plan import PaperOptions
    from mirror.experiments.plan import StudyOptions
    from mirror.experiments.report import Report
    from mirror.experiments.study import Study
    from mirror.experiments.text_tables import CellText, TextTable

STYLES = {
    "reproduced": "green",
    "better": "bold green",
    "worse": "red",
    "holds": "green",
    "does not hold": "red",
    "unclear": "yellow",
    "not run": "dim",
}
SOURCES = {"paper": "dim", "ours": "", "stand-in": "cyan"}


def run_and_print_study(
    name: str,
    options: StudyOptions | PaperOptions,
    jobs: int,
    out: Path | None,
    consoles: tuple[Console, Console],
) -> None:
    """Run a study and print its report; the amount of work is printed first."""
    stdout, stderr = consoles
    with task_progress(stderr, TrialProgress):
        from flows.run_study import start_study
        from mirror.experiments.report import render, report_folder, write_text
        from tasks.environment import workspace_root
        from tasks.trials import find_plan

        plan = find_plan(name, options)
        stderr.print(plan.estimate(), markup=False, highlight=False, soft_wrap=True)
        report = start_study(name, options, jobs, getattr(options, "command", ""))
        if out is not None:
            write_text(out, render(report, "study.md.j2"))
    print_report(report, stdout)
    for file in sorted(report_folder(plan.name, workspace_root()).iterdir()):
        stdout.print(Text(str(file)), soft_wrap=True)


class TrialProgress:
    """Progress of all trials in one bar, with the current trial's step as its text."""

    def __init__(self, shown: OnProgress) -> None:
        self._shown = shown
        self._trials = ProgressEvent("trials", 0, None, "trials")

    def __call__(self, event: ProgressEvent) -> None:
        """Show an event."""
        if event.stage == self._trials.stage:
            self._trials = event
            self._shown(event)
        elif self._trials.total is None:  # corpora and samples, before the first trial
            self._shown(event)
        else:
            self._shown(replace(self._trials, text=describe(event)))


def print_report(report: Report, console: Console) -> None:
    """Print all tables, and how they were measured."""
    from mirror.experiments.report import facts, ordering_counts, verdict_counts
    from mirror.experiments.text_tables import text_tables

    if report.plan.study:
        console.print()
        console.print(Text(report.title, "bold"))
        console.print(Text(report.introduction, "dim"))
    for table in text_tables(report.plan, report.values):
        _print_table(table, console)
    summary = list(facts(report))
    if not report.plan.study:
        counts = {
            "cells": verdict_counts(report),
            "orderings, on the paper's bases": ordering_counts(report, "ours"),
            "orderings, on the stand-in": ordering_counts(report, "stand-in"),
        }
        summary += [
            (name, ", ".join(f"{count} {verdict}" for verdict, count in each.items()))
            for name, each in counts.items()
        ]
    for name, text in summary:
        console.print(Text.assemble((f"{name}: ", "dim"), text), soft_wrap=True)


def _print_table(table: TextTable, console: Console) -> None:
    grid = plain_table(table.title, table.labels, table.columns)
    grid.columns[0].min_width = 12
    for lines in table.rows:
        for line in lines:
            style = SOURCES[line.source]
            first, *others = line.labels
            labels = (Text(first), *(Text(label, style) for label in others))
            is_last = len(lines) > 1 and line is lines[-1]
            grid.add_row(*labels, *(_cell(c, style) for c in line.cells), end_section=is_last)
    console.print(grid)
    for number, note in enumerate(table.notes, 1):
        console.print(Padding(Text(f"[{number}] {note}", "dim"), (0, 0, 0, 2)))
    for text, ours, stand_in in table.orderings:
        parts = [(text, ""), ("\n  on the paper's base: ", "dim"), (ours, STYLES[ours])]
        parts += [("; on the stand-in: ", "dim"), (stand_in, STYLES[stand_in])]
        console.print(Padding(Text.assemble(*parts), (0, 0, 0, 2)))
    console.print()


def _cell(cell: CellText, style: str) -> Text:
    note = f" [{cell.note}]" if cell.note else ""
    text = Text(
        str(cell).removesuffix(note), STYLES.get(cell.verdict or "", style) if cell.mark else style
    )
    return text.append(note, "dim")


def list_table(studies: Sequence[Study]) -> Table:
    """Return a table of studies."""
    columns = ("study", "what it is about", "in the paper", "levels", "encoders")
    table = plain_table(texts=columns)
    table.columns[0].no_wrap = True
    for study in studies:
        count = len(study.all_variants) * len(study.levels)
        row = (study.name, study.title, study.source, ", ".join(study.levels), count)
        table.add_row(*(Text(str(value)) for value in row))
    return table
