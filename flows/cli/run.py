"""`mirror run`: one recipe, or many side by side."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option

RUNNERS = click.Choice(["thread", "process", "dask", "ray"])


@click.command(cls=Command)
@click.argument("recipes", nargs=-1, metavar="[RECIPE]...")
@click.option("--all", "everything", is_flag=True, help="Every recipe in recipes/.")
@click.option("--language", metavar="DE,ES", default="", help="Those of these languages.")
@click.option("--domain", metavar="A,B", default="", help="Those of these domains.")
@click.option("--base", metavar="PATH", help="Start one recipe from this model instead of its own.")
@click.option("--if-changed", is_flag=True, help="Stop if text and recipe are the champion's.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=2,
    help="Run so many at the same time; default 2.",
)
@click.option("--runner", type=RUNNERS, help="For many; else MIRROR_RUNNER, else thread.")
@workspace_option
def run(
    recipes: tuple[str, ...],
    everything: bool,
    language: str,
    domain: str,
    base: str | None,
    if_changed: bool,
    jobs: int,
    runner: str | None,
) -> None:
    """Runs each RECIPE: ingest, sample, tune, evaluate, register.

    RECIPE is a name that `mirror recipes` lists, or the path of a .toml file.  What is there and
    whole already is reused.  Of many, one that fails leaves the others alone, and is named at the
    end.
    """
    from mirror.recipe_selection import RecipeSelection

    choice = RecipeSelection(recipes, _parts(language), _parts(domain), everything)
    if not (recipes or choice.chooses):
        raise click.UsageError("name a RECIPE, or choose by --language, --domain or --all")
    if recipes and choice.chooses:
        raise click.UsageError("name each RECIPE, or choose by --language, --domain or --all")
    if base == "":  # an unset variable of a script's
        raise click.UsageError("--base is empty: name a model's folder, or leave it out")
    if choice.is_one:
        from flows.cli.running import run_and_print

        start = str(Path(base).absolute()) if base else ""
        run_and_print(recipes[0], start, stdout_console(), stderr_console(), if_changed=if_changed)
        return
    if base:
        raise click.UsageError("--base goes with one recipe only")
    from flows.cli.many_runs import runs_shown

    runs_shown(choice, runner, jobs, if_changed, stdout_console(), stderr_console())


def _parts(listed: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in listed.split(",") if part.strip())
