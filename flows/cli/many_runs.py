"""Many runs, with signs of life while they go on and a table when they are done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.running import progress_shown
from flows.cli.tables import plain_table
from mirror.recipe_selection import RecipeSelection, choose_recipes

if TYPE_CHECKING:
    from flows.run_recipes import RunOutcome

STYLES = {"promoted": "green", "not promoted": "yellow", "unchanged": "cyan"}


def runs_shown(
    choice: RecipeSelection,
    runner: str | None,
    jobs: int,
    if_changed: bool,
    out: Console,
    err: Console,
) -> None:
    """Runs the chosen recipes; exit code 1 if any failed.

    Raises:
        RecipeError: a recipe has faults, or none fits.
        InputError: the runner is unknown or not installed.
    """
    chosen = [recipe.name for recipe in choose_recipes(choice)]
    # A file's path stays one: names are looked for in the checkout.
    named = {Path(name).stem: str(Path(name).absolute()) for name in _files(choice)}
    wanted = [named.get(name, name) for name in chosen]
    with progress_shown(err):
        from flows.run_recipes import start_runs
        from tasks.runners import runner_kind

        outcomes = start_runs(wanted, runner_kind(runner), jobs, if_changed)
    out.print(outcome_table(outcomes))
    failed = [Path(found.recipe).stem for found in outcomes if found.record is None]
    if failed:
        message = f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}"
        err.print(message, markup=False, highlight=False, soft_wrap=True)
        raise click.exceptions.Exit(1)


def outcome_table(outcomes: Sequence[RunOutcome]) -> Table:
    """Each recipe, what became of it, its model and its time."""
    table = plain_table()
    for name in ("recipe", "outcome", "model"):
        table.add_column(name, overflow="fold")
    table.add_column("seconds", justify="right")
    for found in outcomes:
        record = found.record
        table.add_row(
            Text(Path(found.recipe).stem if found.recipe.endswith(".toml") else found.recipe),
            Text(found.text, STYLES.get(found.text, "red")),
            Text(record.model if record else "–"),
            f"{record.seconds:,.1f}" if record else "–",
        )
    return table


def _files(choice: RecipeSelection) -> list[str]:
    return [name for name in choice.names if name.endswith(".toml")]
