"""`mirror run`, `mirror recipes` and `mirror show`: runs of recipes and their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.console import echo, stderr_console, stdout_console
from flows.cli.options import Command, Names, workspace_option
from mirror.cluster import RUNNERS

if TYPE_CHECKING:
    from rich.table import Table

    from flows.run_recipes import RunOutcome
    from mirror.recipe_selection import RecipeSelection

STYLES = {"promoted": "green", "not promoted": "yellow", "unchanged": "cyan"}


@click.command(cls=Command)
@click.argument("recipes", nargs=-1, metavar="[RECIPE]...")
@click.option("--all", "everything", is_flag=True, help="Run every recipe in recipes/.")
@click.option(
    "--language",
    type=Names(),
    metavar="DE,ES",
    default=(),
    help="Run the recipes of these languages.",
)
@click.option(
    "--domain", type=Names(), metavar="A,B", default=(), help="Run the recipes of these domains."
)
@click.option("--base", metavar="PATH", help="Start from this model (one recipe only).")
@click.option(
    "--if-changed", is_flag=True, help="Stop if recipe, base and text are close to the champion's."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Number of recipes to run at the same time.",
)
@click.option(
    "--runner",
    type=click.Choice(RUNNERS),
    help="Task runner for several recipes; default: MIRROR_RUNNER, else thread.",
)
@workspace_option
def run(
    recipes: tuple[str, ...],
    everything: bool,
    language: tuple[str, ...],
    domain: tuple[str, ...],
    base: str | None,
    if_changed: bool,
    jobs: int,
    runner: str | None,
) -> None:
    """Run recipes: ingest, sample, tune, evaluate, register.

    RECIPE is a name that `mirror recipes` lists, or the path of a .toml file.  Finished stages are
    reused.  If one of several recipes fails, the others still run; the exit code is then 1.
    """
    from mirror.recipe_selection import RecipeSelection

    selection = RecipeSelection(recipes, language, domain, everything)
    if not (recipes or selection.has_filter):
        raise click.UsageError("name a RECIPE, or choose by --language, --domain or --all")
    if recipes and selection.has_filter:
        raise click.UsageError("name each RECIPE, or choose by --language, --domain or --all")
    if base == "":  # an unset variable in a script
        raise click.UsageError("--base is empty: give a model's folder, or leave --base out")
    if selection.is_one:
        run_one(recipes[0], str(Path(base).absolute()) if base else "", if_changed)
        return
    if base:
        raise click.UsageError("--base takes one recipe only")
    run_many(selection, runner, jobs, if_changed)


def run_one(recipe: str, base: str, if_changed: bool) -> None:
    """Run a recipe and print its result."""
    from flows.cli.progress import task_progress
    from flows.cli.tables import show_run
    from mirror.paths import writable_workspace
    from mirror.run_context import load_run

    loaded = load_run(recipe, base, writable_workspace())  # before Prefect, which takes seconds
    with task_progress(stderr_console()):
        from flows.run_recipe import start_run

        record = start_run(loaded, if_changed)
    show_run(record, stdout_console())


def run_many(selection: RecipeSelection, runner: str | None, jobs: int, if_changed: bool) -> None:
    """Run the selected recipes and print a table; exit with 1 if one failed."""
    from flows.cli.progress import task_progress
    from mirror.recipe_selection import choose_recipes

    # Names are looked up in the checkout; files keep their path.
    files = {
        Path(name).stem: str(Path(name).absolute())
        for name in selection.names
        if name.endswith(".toml")
    }
    names = [files.get(recipe.name, recipe.name) for recipe in choose_recipes(selection)]
    with task_progress(stderr_console()):
        from flows.run_recipes import start_runs
        from tasks.runners import runner_kind

        outcomes = start_runs(names, runner_kind(runner), jobs, if_changed)
    stdout_console().print(outcome_table(outcomes))
    failed = [_label(outcome) for outcome in outcomes if outcome.record is None]
    if failed:
        echo(f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}", err=True)
        raise click.exceptions.Exit(1)


def outcome_table(outcomes: Sequence[RunOutcome]) -> Table:
    """Return a table of recipes with outcome, model and duration."""
    from rich.text import Text

    from flows.cli.tables import plain_table

    table = plain_table(texts=("recipe", "outcome", "model"), numbers=("seconds",))
    for outcome in outcomes:
        record = outcome.record
        table.add_row(
            Text(_label(outcome)),
            Text(outcome.text, STYLES.get(outcome.text, "red")),
            Text(record.model if record else "–"),
            f"{record.seconds:,.1f}" if record else "–",
        )
    return table


def _label(outcome: RunOutcome) -> str:
    return Path(outcome.recipe).stem if outcome.recipe.endswith(".toml") else outcome.recipe


@click.command(cls=Command, short_help="List the recipes.")
def recipes() -> None:
    """List the recipes: those of recipes/, then those of the paper."""
    from flows.cli.tables import paper_recipe_table, recipe_table
    from mirror.errors import RecipeError
    from mirror.recipe import PAPER_RECIPES, RECIPES, find_recipe, recipe_names

    errors = []
    for folder, make_table in ((RECIPES, recipe_table), (PAPER_RECIPES, paper_recipe_table)):
        readable = []
        for name in recipe_names(folder):
            try:
                readable.append(find_recipe(name))
            except RecipeError as error:
                errors.append(str(error))
        stdout_console().print(make_table(readable))
    if errors:
        raise RecipeError("\n".join(errors))


@click.command(cls=Command, short_help="Show the result of the newest run.")
@click.argument("recipe", required=False)
@workspace_option
def show(recipe: str | None) -> None:
    """Show the result of the newest run, of RECIPE if given."""
    from flows.cli.tables import show_run
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record

    show_run(find_record(open_workspace(), recipe), stdout_console())
