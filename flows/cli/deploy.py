"""`mirror deploy`: the server's deployments as prefect.yaml has them."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import Command, stderr_console, stdout_console
from mirror.errors import InputError
from mirror.paths import CHECKOUT


@click.command(cls=Command, short_help="Makes the server's deployments those of prefect.yaml.")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--file", "place", metavar="FILE", help="Another than the checkout's prefect.yaml.")
def deploy(yes: bool, place: str | None) -> None:
    """Registers the deployments of prefect.yaml on the server at PREFECT_API_URL.

    Shows first what it will make (+), change (~) and remove (-): deployments and schedules that
    the file no longer has go.  Only deployments with the file's name as a tag are touched.
    """
    from tasks.deployments.applying import apply, find_drift
    from tasks.deployments.file import read_file
    from tasks.deployments.server import connected

    path = Path(place).absolute() if place else CHECKOUT / "prefect.yaml"
    read_file(path)  # its faults are told whether or not there is a server
    with connected() as client:
        drift = find_drift(client, path)
        if not drift:
            stderr_console().print("the server has all of it, and as it is", highlight=False)
            return
        stdout_console().print(
            "\n".join(drift.lines), markup=False, highlight=False, soft_wrap=True
        )
        if not yes and not _agreed():
            stderr_console().print("nothing was changed", highlight=False)
            raise click.exceptions.Exit(1)
        apply(client, path, drift)
    stderr_console().print("deployed", highlight=False)


def _agreed() -> bool:
    try:
        return click.confirm("Apply?", err=True)
    except click.Abort as aborted:
        # Ctrl-C, too, comes as this.
        if isinstance(aborted.__context__, EOFError):
            raise InputError("nobody can be asked here: give --yes") from None
        raise
