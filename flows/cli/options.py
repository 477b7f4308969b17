"""What all commands have in common: `--debug`, `--workspace`, where output goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.errors import Debugging

if TYPE_CHECKING:
    from rich.console import Console


class Command(click.Command):
    """A command that takes `--debug`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(_debug_option())


class Group(click.Group):
    """Commands that take `--debug`, before their name or after it."""

    command_class = Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(_debug_option())


def _debug_option() -> click.Option:
    def switch(context: click.Context, _option: click.Parameter, on: bool) -> None:
        if on:
            context.ensure_object(Debugging).on = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=switch,
        help="Show the traceback of an error, and all logs.",
    )


def workspace_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--workspace`, which stands for MIRROR_HOME."""

    def choose(_context: click.Context, _option: click.Parameter, folder: str | None) -> None:
        if folder:
            os.environ["MIRROR_HOME"] = str(Path(folder).absolute())

    return click.option(
        "--workspace",
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=choose,
        help="Where stages and runs are kept; else MIRROR_HOME, else .mirror in the checkout.",
    )(command)


def stdout_console() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console()


def stderr_console() -> Console:
    """Where progress and faults go, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True)
