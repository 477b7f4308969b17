"""Progress bars on a terminal, and lines elsewhere."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from flows.cli.progress import LINE_SECONDS, PlainProgress, live_progress
from mirror.progress import ProgressEvent


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_lines_are_printed_at_most_every_ten_seconds() -> None:
    printed: list[str] = []
    now = 0.0
    lines = PlainProgress(printed.append, lambda: now)
    for second in range(35):
        now = float(second)
        lines(ProgressEvent("tune", second, 100, "steps", f"loss {second}"))
    assert printed == [f"tune: {s} of 100 steps: loss {s}" for s in (10, 20, 30)]
    assert LINE_SECONDS == 10


def test_a_pipe_shows_no_bars() -> None:
    file = io.StringIO()
    with live_progress(Console(file=file)) as on_progress:
        on_progress(ProgressEvent("tune", 1, 2, "steps"))
    assert file.getvalue() == ""


def test_a_terminal_shows_a_bar_per_stage() -> None:
    console = terminal()
    with live_progress(console) as on_progress:
        on_progress(ProgressEvent("corpus", 7, None, "documents"))
        on_progress(ProgressEvent("tune", 3, 10, "steps", "loss 2.5 [x]"))
        bars = on_progress._bars  # type: ignore[attr-defined]
        corpus, tune = bars.tasks
    assert (corpus.description, corpus.finished) == ("corpus", True)
    assert (tune.description, tune.completed, tune.total) == ("tune", 3, 10)
    assert tune.fields["facts"] == "3/10 steps · loss 2.5 (x)"


def test_evaluating_a_second_encoder_starts_a_new_bar() -> None:
    with live_progress(terminal()) as on_progress:
        for done in (0, 1, 2, 0, 1):
            on_progress(ProgressEvent("evaluation", done, 3, "benchmarks"))
        tasks = on_progress._bars.tasks  # type: ignore[attr-defined]
    assert [task.completed for task in tasks] == [2, 1]
    assert tasks[0].finished


def test_threads_may_report_progress() -> None:
    with live_progress(terminal()) as on_progress:
        threads = [
            threading.Thread(target=on_progress, args=(ProgressEvent("tune", n, 50, "steps"),))
            for n in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tasks = on_progress._bars.tasks  # type: ignore[attr-defined]
    assert {task.description for task in tasks} == {"tune"}
