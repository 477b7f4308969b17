"""Progress of tasks: to a listener, or else to the log."""

from __future__ import annotations

import logging
import socket
import threading
from contextvars import copy_context

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from mirror.progress import ProgressEvent
from tasks import progress
from tasks.progress import Reporter, listening

STEP = ProgressEvent("tune", 3, 10, "steps", "loss 2.5")


def test_a_listener_receives_all_events_in_order() -> None:
    heard: list[ProgressEvent] = []
    events = [ProgressEvent("tune", done, 4, "steps") for done in range(4)]
    with listening(heard.append):
        reporter = Reporter()
        for step in events:
            reporter(step)
    assert heard == events


def test_a_listener_receives_no_events_after_its_block() -> None:
    heard: list[ProgressEvent] = []
    with listening(heard.append):
        pass
    Reporter()(STEP)
    assert heard == []


def test_events_of_a_thread_with_the_context_are_received() -> None:
    heard: list[ProgressEvent] = []
    with listening(heard.append):
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(Reporter(), STEP))
        thread.start()
        thread.join()
    assert heard == [STEP]


def test_without_a_listener_lines_go_to_the_log_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    reporter = Reporter()
    with caplog.at_level(logging.INFO, logger="tasks.progress"):
        for second in range(41):
            now = 100.0 + second
            reporter(STEP)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["tune: 3 of 10 steps: loss 2.5"] * (40 // progress.LOG_SECONDS)


def test_work_goes_on_where_prefects_server_is_away(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: address}):
            Reporter().show(STEP, 30.0)
    [message] = [
        record.getMessage() for record in caplog.records if record.name == "tasks.progress"
    ]
    assert message.startswith("progress of tune is not shown by Prefect (")
