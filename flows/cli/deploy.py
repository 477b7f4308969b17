"""`mirror deploy`: apply prefect.yaml to the Prefect server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from flows.cli.console import echo
from flows.cli.options import Command
from mirror.errors import InputError
from mirror.paths import CHECKOUT


@click.command(cls=Command, short_help="Apply prefect.yaml to the Prefect server.")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--file", metavar="FILE", help="Another file; default prefect.yaml in the checkout.")
def deploy(yes: bool, file: str | None) -> None:
    """Apply prefect.yaml to the Prefect server at PREFECT_API_URL.

    Shows new (+), changed (~) and removed (-) ones first: deployments and schedules that the
    file no longer has are removed.  Only deployments with the file's name as a tag are changed.
    The schedules of recipes that cannot run on this machine are paused, and the reasons shown.
    """
    from tasks.deployment_file import read_file
    from tasks.deployments import apply, diff_with_server, pause_unready, prefect_client

    path = Path(file).absolute() if file else CHECKOUT / "prefect.yaml"
    _, declared = read_file(path)  # report its faults even if there is no server
    _show_paused(declared, pause_unready(declared))
    with prefect_client() as client:
        diff = diff_with_server(client, path)
        if not diff:
            echo(f"the server has what {path.name} says", err=True)
            return
        echo("\n".join(diff.lines))
        if not yes and not _is_confirmed():
            echo("nothing was changed", err=True)
            raise click.exceptions.Exit(1)
        apply(client, path, diff)
    echo("deployed", err=True)


def _show_paused(declared: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
    """Print which schedules are paused, and why."""
    names = dict[str, list[str]]()
    for name, deployment in declared.items():
        if not any(each["active"] for each in deployment["schedules"].values()):
            reason = reasons.get(name, "active is false in the file, although the recipe can run")
            names.setdefault(reason, []).append(name.partition("/")[2])
    for reason, paused in names.items():
        echo(f"paused: {', '.join(paused)}: {reason}", err=True)


def _is_confirmed() -> bool:
    try:
        return click.confirm("Apply?", err=True)
    except click.Abort as aborted:
        # Ctrl-C raises Abort too.
        if isinstance(aborted.__context__, EOFError):
            raise InputError("there is no terminal to ask for confirmation: add --yes") from None
        raise
