"""Progress of long commands: bars on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from flows.cli.errors import Debugging
from mirror.progress import OnProgress, ProgressEvent, describe

LINE_SECONDS = 10
MAX_TEXT = 60


@contextmanager
def task_progress(
    console: Console, transform: Callable[[OnProgress], OnProgress] = lambda shown: shown
) -> Iterator[None]:
    """Show the progress of Prefect tasks within the block, and this project's warnings.

    Enter the block before Prefect is imported, which reads its settings then.

    Args:
        console: where progress is shown.
        transform: wraps the function that shows progress, for example to merge events.
    """
    debugging = click.get_current_context().ensure_object(Debugging)
    if not debugging.on:
        # Prefect logs errors with tracebacks; the command prints them as one line.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from mirror.paths import writable_workspace

    writable_workspace()
    from tasks.progress import listening

    with (
        live_progress(console) as on_progress,
        listening(transform(on_progress)),
        _show_warnings(console),
    ):
        yield


@contextmanager
def live_progress(console: Console) -> Iterator[OnProgress]:
    """Yield a function that shows progress events; threads may call it."""
    if not console.is_terminal:
        yield PlainProgress(
            lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
        )
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("[dim]{task.fields[facts]}", markup=True),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield RichProgress(bars)


class PlainProgress:
    """Prints a line of progress, at most every ten seconds."""

    def __init__(
        self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._print_line, self._clock = print_line, clock
        self._due = clock() + LINE_SECONDS
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        """Print the event, if ten seconds have passed."""
        with self._lock:
            if (now := self._clock()) < self._due:
                return
            self._due = now + LINE_SECONDS
        self._print_line(describe(event))


class RichProgress:
    """Shows one progress bar per stage, in the order of their first events."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._stage = ""
        self._done = 0
        # Starting Prefect and finding finished stages take seconds without events.
        self._task: TaskID = bars.add_task("starting", total=None, facts="")

    def __call__(self, event: ProgressEvent) -> None:
        """Update the bar of the event's stage."""
        with self._lock:
            # Evaluation runs once per encoder: the same stage, counted from zero again.
            if event.stage != self._stage or event.done < self._done:
                self._finish()
                self._task = self._bars.add_task(event.stage, total=event.total, facts="")
            self._stage, self._done = event.stage, event.done
            self._bars.update(
                self._task, completed=event.done, total=event.total, facts=_facts(event)
            )

    def _finish(self) -> None:
        if not self._stage:
            self._bars.remove_task(self._task)
        else:
            self._bars.update(self._task, total=self._done or 1, completed=self._done or 1)


def _facts(event: ProgressEvent) -> str:
    of_total = f"/{event.total:,}" if event.total else ""
    text = f" · {event.text}" if event.text else ""
    facts = f"{event.done:,}{of_total} {event.unit}{text}"
    # rich takes brackets for markup.
    return facts.replace("[", "(").replace("]", ")")[:MAX_TEXT]


@contextmanager
def _show_warnings(console: Console) -> Iterator[None]:
    handler = _WarningHandler(console)
    loggers = [logging.getLogger(name) for name in ("mirror", "tasks", "flows")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _WarningHandler(logging.Handler):
    """Prints warnings above the progress bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        self._console.print(
            f"{record.levelname.lower()}: {record.getMessage()}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
