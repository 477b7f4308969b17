"""`mirror promote`, `mirror rollback` and `mirror history`: the champion of a registered model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flows.cli.console import echo, stdout_console
from flows.cli.errors import printable
from flows.cli.html_page import check_page_path, write_page
from flows.cli.options import Command, workspace_option

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from mirror.release.history import VersionSummary
    from tasks.registry.promotion import PromotionResult

NUMBER = click.IntRange(min=1)
SCORES = {"domain": False, "general": True}
"""Columns of scores, and whether they are for general benchmarks."""


@click.command(cls=Command, short_help="Promote a version of a model to champion.")
@click.argument("name")
@click.argument("version", required=False, type=NUMBER)
@click.option("--reason", default="", metavar="TEXT", help="The reason, for the history.")
@click.option(
    "--force",
    is_flag=True,
    help="Also promote a version that was refused by the gate, superseded or rolled back.",
)
@workspace_option
def promote(name: str, version: int | None, reason: str, force: bool) -> None:
    """Promote a VERSION of the model NAME to champion; without VERSION, the challenger.

    A version that is pending approval needs no --force.  `mirror history NAME` shows who promoted
    which version, when and why.
    """
    from mirror.paths import open_workspace

    workspace = open_workspace(for_registry=True)
    from tasks.registry import promotion

    number = str(version) if version else None
    _print_result(promotion.promote(name, number, workspace, reason=reason, force=force))


@click.command(cls=Command, short_help="Restore the previous champion.")
@click.argument("name")
@click.option("--to", type=NUMBER, metavar="VERSION", help="An earlier champion than the last.")
@click.option("--reason", default="", metavar="TEXT", help="The reason, for the history.")
@workspace_option
def rollback(name: str, to: int | None, reason: str) -> None:
    """Restore the previous champion of the model NAME.

    Two rollbacks undo two promotions.  The gate does not promote a rolled-back encoder again.
    """
    from mirror.paths import open_workspace

    workspace = open_workspace(for_registry=True)
    from tasks.registry import promotion

    number = str(to) if to else None
    _print_result(promotion.roll_back(name, workspace, to=number, reason=reason))


@click.command(cls=Command, short_help="List the versions of a model.")
@click.argument("name")
@click.option("--out", "out", metavar="FILE.html", help="Write a self-contained page too.")
@workspace_option
def history(name: str, out: str | None) -> None:
    """List the versions of the model NAME: scores, verdict, promotions and rollbacks.

    For a version that was tuned from another one, scores are shown with their change since the
    first generation, on the domain's and on general benchmarks.
    """
    page = check_page_path(out)
    from mirror.paths import open_workspace
    from mirror.release.history import render_history

    open_workspace(for_registry=True)
    from tasks.registry.history import read_history

    versions = read_history(name)
    stdout_console().print(history_table(name, versions))
    if page:
        write_page(page, render_history(name, versions))
        echo(str(page), err=True)


def history_table(name: str, versions: Sequence[VersionSummary]) -> Table:
    """Return a table of versions, oldest first."""
    from rich.text import Text

    from flows.cli.tables import plain_table
    from mirror.release.history import short_digest, short_time

    columns = ("version", "registered", "recipe", "corpus", *SCORES, "verdict", "status")
    table = plain_table(name, columns)
    for version in versions:
        number = Text(version.number, "bold" if version.aliases else "")
        for alias in version.aliases:
            number.append(f"\n{printable(alias)}", "green" if alias == "champion" else "yellow")
        table.add_row(
            number,
            short_time(version.created),
            Text(printable(version.recipe)),
            Text(printable(short_digest(version.corpus)), "dim"),
            *(
                Text("\n").join(_score_lines(version, versions, general)) or Text("–")
                for general in SCORES.values()
            ),
            Text(printable(version.verdict or "–")),
            Text("\n".join(map(printable, version.status_lines))),
        )
    return table


def _score_lines(
    version: VersionSummary, versions: Sequence[VersionSummary], general: bool
) -> list[Text]:
    """Return a line for each benchmark: `stsb .700 → .690, −.020 since version 1: loss`."""
    from rich.text import Text

    from mirror.formatting import score, signed
    from mirror.release.history import generation_scores

    lines = []
    for line in generation_scores(version, versions, general=general):
        values = ("–" if value is None else score(value) for value in (line.before, line.after))
        text = Text(f"{printable(line.benchmark)} {' → '.join(values)}")
        if line.first:
            change = f", {signed(line.change)} since version {line.first}"
            text.append(f"{change}: loss" if line.is_loss else change, "red" * line.is_loss)
        lines.append(text)
    return lines


def _print_result(result: PromotionResult) -> None:
    for line in filter(None, (result.text, result.index_advice)):
        echo(line)
