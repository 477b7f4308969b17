"""`mirror pretrain`: a base model from raw text."""

from __future__ import annotations

import click

from flows.cli.console import echo, stderr_console
from flows.cli.options import Command, workspace_option


@click.command(cls=Command, short_help="Pretrain the base model of models/NAME.toml.")
@click.argument("name")
@click.option(
    "--corpus",
    multiple=True,
    metavar="FILE",
    help="Parquet file to use instead; may repeat.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time and write a checkpoint.",
)
@workspace_option
def pretrain(name: str, corpus: tuple[str, ...], minutes: float | None) -> None:
    """Pretrain the base model that models/NAME.toml describes.

    A run that was stopped or killed continues from its last checkpoint.
    """
    from flows.cli.progress import task_progress
    from mirror.pretraining.config import find_pretraining
    from mirror.pretraining.stage import PretrainingPaused

    settings = find_pretraining(name)
    try:
        with task_progress(stderr_console()):
            from flows.pretrain_base import start_pretraining

            model = start_pretraining(name, corpus, minutes)
    except PretrainingPaused as paused:
        echo(str(paused), err=True)
        return
    origin = "reused" if model.reused else f"made in {model.seconds:,.0f} s"
    echo(f"{settings.name}: {origin}\n{model.path / 'model'}", err=True)
