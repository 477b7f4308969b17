"""`mirror study`: the paper's analyses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option

LEVELS = click.Choice(["word", "name", "sentence"])


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        """Reads them."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 42,33,44", param, context)
        if len(set(found)) < len(found):
            self.fail(f"{value!r} names a seed twice", param, context)
        return found


@click.command(cls=Command, short_help="Runs one of the paper's analyses, or lists them.")
@click.argument("name", required=False)
@click.option("--base", metavar="PATH", default="", help="Tune this model; else the shipped one.")
@click.option("--corpus", metavar="FILE", default="", help="Sentences to tune on, e.g. a Parquet.")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="RECIPE",
    help="Take strings, settings and base of its level from this recipe; may repeat.",
)
@click.option("--benchmarks", metavar="A,B", default="", help="Names of files in benchmarks/.")
@click.option("--level", "levels", multiple=True, type=LEVELS, help="Only this; may repeat.")
@click.option("--seeds", type=Numbers(), default=(), help="Such as 42,33,44; else the study's.")
@click.option("--strings", type=click.IntRange(min=2), help="How many, where that is not varied.")
@click.option("--at-once", type=click.IntRange(min=1), default=1, help="Trials side by side.")
@workspace_option
def study(name: str | None, base: str, benchmarks: str, at_once: int, **options: Any) -> None:
    """Runs NAME, one of the paper's analyses; lists them all without NAME.

    Draws its figure, with the paper's numbers beside ours where the paper gives them.  NAME may be
    the path of a .toml file of your own.  What was made before is reused.
    """
    if name is None:
        _list_studies()
        return
    from flows.cli.study_tables import print_study
    from mirror.experiments.plan import StudyOptions

    names = tuple(part.strip() for part in benchmarks.split(",") if part.strip())
    path = str(Path(base).absolute()) if base else ""
    wanted = StudyOptions(base=path, benchmarks=names, **options)
    print_study(name, wanted, at_once, stdout_console(), stderr_console())


def _list_studies() -> None:
    from flows.cli.study_tables import study_table
    from mirror.experiments.study import find_study, study_names

    stdout_console().print(study_table([find_study(name) for name in study_names()]))
