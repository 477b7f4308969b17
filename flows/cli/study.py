"""`mirror study`: studies of settings, and the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.console import stderr_console, stdout_console
from flows.cli.options import Command, Names, workspace_option

LEVELS = click.Choice(["word", "name", "sentence"])
OF_STUDIES = {
    "corpus": "--corpus",
    "recipes": "--recipe",
    "benchmarks": "--benchmarks",
    "levels": "--level",
    "strings": "--strings",
}
OF_PAPER = {
    "tables": "--tables",
    "folder": "--bases",
    "download": "--download",
    "stand_ins": "--stand-in",
    "no_stand_in": "--no-stand-in",
}


class Seeds(click.ParamType[tuple[int, ...]]):
    """Seeds separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        """Parse them."""
        if isinstance(value, tuple):
            return value
        try:
            seeds = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 42,33,44", param, context)
        if len(set(seeds)) < len(seeds):
            self.fail(f"{value!r} names a seed twice", param, context)
        if min(seeds) < 0:
            self.fail(f"{value!r} has a seed below 0", param, context)
        return seeds


@click.command(cls=Command, short_help="Run a study or the paper's tables, or list the studies.")
@click.argument("name", required=False)
@click.option("--paper", is_flag=True, help="Fill the paper's tables.")
@click.option("--seeds", type=Seeds(), default=(), help="Such as 42,33,44; else the study's.")
@click.option("--quick", is_flag=True, help="The first seed only.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Trials in parallel.")
@click.option("--out", metavar="FILE.md", help="Write the Markdown to this file too.")
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="PATH",
    help="Tune this model instead of the shipped one. With --paper: HUB_ID=PATH; may repeat.",
)
@click.option("--corpus", metavar="FILE", default="", help="Sentences to tune on, e.g. a Parquet.")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="RECIPE",
    help="Use strings, settings and base of this recipe for its level; may repeat.",
)
@click.option("--benchmarks", type=Names(), default=(), help="Names of files in benchmarks/.")
@click.option("--level", "levels", multiple=True, type=LEVELS, help="Only this; may repeat.")
@click.option("--strings", type=click.IntRange(min=2), help="Sample size, unless it is varied.")
@click.option("--tables", type=Names(), default=(), help="--paper: only these, such as T1,T3.")
@click.option(
    "--bases", "folder", metavar="DIR", default="", help="--paper: has bases, named by hub id."
)
@click.option("--download", is_flag=True, help="--paper: fetch missing bases from the hub.")
@click.option(
    "--stand-in",
    "stand_ins",
    multiple=True,
    metavar="[LANG=]PATH",
    help="--paper: another base for the rows of its language; else models/mirror-mini-en.",
)
@click.option("--no-stand-in", is_flag=True, help="--paper: the paper's own bases only.")
@workspace_option
def study(name: str | None, paper: bool, jobs: int, out: str | None, **options: Any) -> None:
    """Run the study NAME, fill the paper's tables (--paper), or list all studies.

    A study compares settings: it draws a figure, with the paper's values where there are any.
    NAME may be the path of your own .toml file.

    --paper fills the tables of the paper as far as this machine has bases, strings and benchmarks;
    other cells give a reason. A stand-in runs the same settings on another base: it is compared
    with the orderings that the paper reads from its tables, never with their values.

    Finished trials are reused.
    """
    if name is None and not paper:
        _list_studies()
        return
    if name is not None and paper:
        raise click.UsageError(f"give either {name} or --paper")
    misplaced = OF_STUDIES if paper else OF_PAPER
    if used := [option for key, option in misplaced.items() if options[key]]:
        raise click.UsageError(f"{used[0]} is {'not ' if paper else 'only '}for --paper")
    from flows.cli.study_report import run_and_print_study

    chosen = _paper_options(options) if paper else _study_options(str(name), options)
    run_and_print_study(
        "paper" if paper else str(name),
        chosen,
        jobs,
        Path(out) if out else None,
        (stdout_console(), stderr_console()),
    )


def _study_options(name: str, options: dict[str, Any]) -> Any:
    from mirror.experiments.plan import StudyOptions
    from mirror.experiments.study import find_study

    if len(options["bases"]) > 1:
        raise click.UsageError("--base: a study runs on one base")
    seeds = options["seeds"] or find_study(name).seeds
    return StudyOptions(
        base=str(Path(options["bases"][0]).absolute()) if options["bases"] else "",
        seeds=seeds[: 1 if options["quick"] else None],
        **{key: options[key] for key in OF_STUDIES},
    )


def _paper_options(options: dict[str, Any]) -> Any:
    from mirror.experiments.paper_plan import PaperOptions
    from mirror.experiments.published import read_tables

    seeds = options["seeds"] or PaperOptions().seeds
    chosen = PaperOptions(
        tables=options["tables"],
        seeds=seeds[: 1 if options["quick"] else None],
        bases=options["bases"],
        folder=options["folder"],
        download=options["download"],
        stand_ins=None if options["no_stand_in"] else options["stand_ins"],
    )
    # Faults show before Prefect starts.
    read_tables(chosen.tables)
    chosen.base_folders()
    return chosen


def _list_studies() -> None:
    from flows.cli.study_report import list_table
    from mirror.experiments.study import find_study, study_names

    stdout_console().print(list_table([find_study(name) for name in study_names()]))
