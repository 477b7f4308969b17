"""Logging a run leaves the process as it was."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from time import sleep
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from tasks.registry import run_logging
from tasks.registry.run_logging import LoggedRun, add_version


def test_two_threads_at_once_restore_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each restores it while the other has redirected it."""
    both, before = Barrier(2), sys.stderr
    arrived: list[str] = []

    def register_model(*_: Any, **__: Any) -> str:
        arrived.append("here")
        is_second = len(arrived) > 1
        try:
            both.wait(0.5)  # both are here at once, unless a lock prevents it
            sleep(0.2 * is_second)  # the first to redirect it restores it first
        except BrokenBarrierError:
            both.reset()
        return "made"

    monkeypatch.setattr(mlflow, "register_model", register_model)
    monkeypatch.setattr(run_logging, "registration_tags", lambda _: {})
    candidate: Any = SimpleNamespace(
        recipe=SimpleNamespace(registry=SimpleNamespace(model="mirror-en-notes"))
    )
    with ThreadPoolExecutor(2) as threads:
        made = [threads.submit(add_version, candidate, LoggedRun("run", "m-1")) for _ in "ab"]
    assert [str(one.result()) for one in made] == ["made", "made"]
    assert sys.stderr is before
