"""Long commands, with progress while they run and a table when they are done."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console

from flows.cli.errors import Debugging
from flows.cli.progress import live_progress
from flows.cli.tables import show_run
from mirror.progress import OnProgress


def run_and_print(
    recipe: str, base: str, out: Console, err: Console, *, if_changed: bool = False
) -> None:
    """Runs a recipe."""
    from mirror.paths import writable_workspace
    from mirror.run_context import load_run

    loaded = load_run(recipe, base, writable_workspace())  # before Prefect, which takes seconds
    with progress_shown(err):
        from flows.run_recipe import start_run

        record = start_run(loaded, if_changed)
    show_run(record, out)


@contextmanager
def progress_shown(
    console: Console, through: Callable[[OnProgress], OnProgress] = lambda shown: shown
) -> Iterator[None]:
    """Within the block, tasks' progress is shown, and of logs only our own warnings.

    Call it before anything imports Prefect, which reads its settings then.

    Args:
        console: where it is shown.
        through: what it passes through first.
    """
    debugging = click.get_current_context().ensure_object(Debugging)
    if not debugging.on:
        # Prefect logs what it raises, traceback and all; the command says it in a line.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from mirror.paths import writable_workspace

    writable_workspace()
    from tasks.progress import listening

    with (
        live_progress(console) as on_progress,
        listening(through(on_progress)),
        _warnings_shown(console),
    ):
        yield


@contextmanager
def _warnings_shown(console: Console) -> Iterator[None]:
    handler = _Warnings(console)
    loggers = [logging.getLogger(name) for name in ("mirror", "tasks", "flows")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Warnings(logging.Handler):
    """Warnings as lines above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one."""
        self._console.print(
            f"{record.levelname.lower()}: {record.getMessage()}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
