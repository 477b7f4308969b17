"""`mirror promote` and `mirror rollback`: a person's word on who is champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flows.cli.options import Command, stdout_console, workspace_option

if TYPE_CHECKING:
    from tasks.registry.promotion import PromotionResult

NUMBER = click.IntRange(min=1)


@click.command(cls=Command, short_help="Makes a version of a model its champion.")
@click.argument("name")
@click.argument("version", required=False, type=NUMBER)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the version.")
@click.option(
    "--force",
    is_flag=True,
    help="Promote also a version that the gate refused, or that was overtaken or rolled back.",
)
@workspace_option
def promote(name: str, version: int | None, reason: str, force: bool) -> None:
    """Makes a VERSION of the model NAME champion; without VERSION, the challenger.

    One that awaits approval needs nothing more.  Who, when and why are kept: `mirror history NAME`.
    """
    from mirror.paths import open_workspace

    workspace = open_workspace(for_registry=True)
    from tasks.registry.promotion import promote_version

    number = str(version) if version else None
    _say(promote_version(name, number, workspace, reason=reason, force=force))


@click.command(cls=Command, short_help="Makes the champion before today's champion again.")
@click.argument("name")
@click.option("--to", type=NUMBER, metavar="VERSION", help="An earlier champion; else the last.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the version.")
@workspace_option
def rollback(name: str, to: int | None, reason: str) -> None:
    """Makes the version of NAME champion again that was so before today's.

    Twice goes back two promotions.  The gate does not promote again what was rolled back.
    """
    from mirror.paths import open_workspace

    workspace = open_workspace(for_registry=True)
    from tasks.registry.promotion import roll_back

    _say(roll_back(name, workspace, to=str(to) if to else None, reason=reason))


def _say(moved: PromotionResult) -> None:
    for line in filter(None, (moved.text, moved.index)):
        stdout_console().print(line, markup=False, highlight=False, soft_wrap=True)
