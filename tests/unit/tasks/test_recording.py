"""What recording leaves of the process that it happens in."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from time import sleep
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from tasks.registry import register
from tasks.registry.register import Recorded, add_version


def test_two_threads_that_register_at_once_leave_standard_error_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each would end while the other has put it away."""
    both, before = Barrier(2), sys.stderr
    arrived: list[str] = []

    def register_model(*_: Any, **__: Any) -> str:
        arrived.append("here")
        is_second = len(arrived) > 1
        try:
            both.wait(0.5)  # where two can be here at once, they are
            sleep(0.2 * is_second)  # whoever put it away first puts it back first
        except BrokenBarrierError:
            both.reset()
        return "made"

    monkeypatch.setattr(mlflow, "register_model", register_model)
    monkeypatch.setattr(register, "registration_tags", lambda _: {})
    candidate: Any = SimpleNamespace(
        recipe=SimpleNamespace(registry=SimpleNamespace(model="mirror-en-notes"))
    )
    with ThreadPoolExecutor(2) as threads:
        made = [threads.submit(add_version, candidate, Recorded("run", "m-1")) for _ in "ab"]
    assert [str(one.result()) for one in made] == ["made", "made"]
    assert sys.stderr is before
