"""Progress for people: bars on a terminal, a quiet line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from mirror.progress import OnProgress, ProgressEvent, describe

LINE_SECONDS = 10
LONGEST_TEXT = 60


@contextmanager
def live_progress(console: Console) -> Iterator[OnProgress]:
    """Within the block, shows what it is told; may be told from any thread."""
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
    """Says how far a stage is, at most every ten seconds."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._due = clock() + LINE_SECONDS
        self._lock = threading.Lock()

    def __call__(self, progress: ProgressEvent) -> None:
        """Takes one sign of life."""
        with self._lock:
            if (now := self._clock()) < self._due:
                return
            self._due = now + LINE_SECONDS
        self._say(describe(progress))


class RichProgress:
    """One bar for each stage, in the order in which they are heard of."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._stage = ""
        self._done = 0
        # Starting Prefect and looking at what is there take seconds in which no stage speaks.
        self._task: TaskID = bars.add_task("looking at what is there", total=None, facts="")

    def __call__(self, progress: ProgressEvent) -> None:
        """Takes one sign of life."""
        with self._lock:
            # Evaluation runs once for each encoder: the same stage, counted from the start again.
            if progress.stage != self._stage or progress.done < self._done:
                self._finish()
                self._task = self._bars.add_task(progress.stage, total=progress.total, facts="")
            self._stage, self._done = progress.stage, progress.done
            self._bars.update(
                self._task, completed=progress.done, total=progress.total, facts=_facts(progress)
            )

    def _finish(self) -> None:
        if not self._stage:
            self._bars.remove_task(self._task)
        else:
            self._bars.update(self._task, total=self._done or 1, completed=self._done or 1)


def _facts(progress: ProgressEvent) -> str:
    of_total = f"/{progress.total:,}" if progress.total else ""
    text = f" · {progress.text}" if progress.text else ""
    facts = f"{progress.done:,}{of_total} {progress.unit}{text}"
    # Text may hold brackets, which rich would take for markup.
    return facts.replace("[", "(").replace("]", ")")[:LONGEST_TEXT]
