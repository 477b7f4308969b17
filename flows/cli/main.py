"""The `mirror` command.

Modules of commands import what they need inside functions, so that `mirror --help` is fast.
"""

from __future__ import annotations

import sys

import click

from flows.cli.bench import bench
from flows.cli.compare import compare
from flows.cli.deploy import deploy
from flows.cli.doctor import doctor
from flows.cli.encode import encode
from flows.cli.errors import run_guarded
from flows.cli.evaluate import evaluate
from flows.cli.export import export
from flows.cli.gc import gc
from flows.cli.new import new
from flows.cli.options import Group
from flows.cli.pretrain import pretrain
from flows.cli.promote import history, promote, rollback
from flows.cli.run import recipes, run, show
from flows.cli.serve import serve
from flows.cli.services import down, up
from flows.cli.study import study
from flows.cli.verify import verify

COMMANDS = (
    bench,
    compare,
    deploy,
    doctor,
    down,
    encode,
    evaluate,
    export,
    gc,
    history,
    new,
    pretrain,
    promote,
    recipes,
    rollback,
    run,
    serve,
    show,
    study,
    up,
    verify,
)


def show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    """Print the installed version."""
    if not value:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"mirror {version('mirror-bert-pipeline')}")
    except PackageNotFoundError as error:
        raise click.ClickException(
            "this checkout is not installed, so it has no version: run `make install`"
        ) from error
    context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
def mirror() -> None:
    """Turn a masked language model into a word or sentence encoder, without labels."""


for command in COMMANDS:
    mirror.add_command(command)


def main() -> None:
    """Run the `mirror` command."""
    sys.exit(run_guarded(mirror, sys.argv[1:]))
