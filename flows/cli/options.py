"""Options that several commands share, such as `--debug` and `--workspace`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flows.cli.errors import Debugging

POOLINGS = ("cls", "mean", "mean-with-padding", "first-last", "last")

PRECISIONS = ("float32", "float16", "int8")
"""As `mirror.config_base.Precision`, which takes longer to import."""

pooling_option = click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    help="Pooling of a plain model, which has no setting for it.",
)
max_tokens_option = click.option(
    "--max-tokens",
    type=click.IntRange(min=3),
    help="Truncate texts to this length; default: the encoder's setting.",
)


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, ...]:
        """Split them."""
        if isinstance(value, tuple):
            return value
        return tuple(part.strip() for part in str(value).split(",") if part.strip())


class Command(click.Command):
    """A command with `--debug`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(_debug_option())


class Group(click.Group):
    """A group with `--debug`, which may come before or after the command's name."""

    command_class = Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(_debug_option())


def _debug_option() -> click.Option:
    def enable(context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(Debugging).on = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=enable,
        help="Show tracebacks and all logs.",
    )


def workspace_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--workspace`, which sets MIRROR_HOME."""

    def set_workspace(_context: click.Context, _option: click.Parameter, path: str | None) -> None:
        if path:
            os.environ["MIRROR_HOME"] = str(Path(path).absolute())

    return click.option(
        "--workspace",
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=set_workspace,
        help="Folder of stages and runs; default: MIRROR_HOME, else .mirror in the checkout.",
    )(command)
