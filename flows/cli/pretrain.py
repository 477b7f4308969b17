"""`mirror pretrain`: a base model from raw text."""

from __future__ import annotations

import click

from flows.cli.options import Command, stderr_console, workspace_option


@click.command(cls=Command, short_help="Makes the base model that models/NAME.toml describes.")
@click.argument("name")
@click.option(
    "--corpus", multiple=True, metavar="FILE", help="Parquet instead of the file's; may repeat."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time, with a checkpoint.",
)
@workspace_option
def pretrain(name: str, corpus: tuple[str, ...], minutes: float | None) -> None:
    """Makes the base model that models/NAME.toml describes.

    A run that was stopped or killed continues from its last checkpoint.
    """
    from flows.cli.running import progress_shown
    from mirror.pretraining.config import find_pretraining
    from mirror.pretraining.stage import PretrainingPaused

    console = stderr_console()
    settings = find_pretraining(name)
    try:
        with progress_shown(console):
            from flows.pretrain_base import start_pretraining

            model = start_pretraining(name, corpus, minutes)
    except PretrainingPaused as paused:
        console.print(str(paused), markup=False, highlight=False, soft_wrap=True)
        return
    how = "reused" if model.reused else f"made in {model.seconds:,.0f} s"
    console.print(f"{settings.name}: {how}", markup=False, highlight=False)
    console.print(str(model.path / "model"), markup=False, highlight=False, soft_wrap=True)
