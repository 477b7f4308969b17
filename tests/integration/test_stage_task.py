"""Stage tasks: Prefect's states agree with the store, and only retryable errors are retried."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter
from prefect.states import State
from prefect.testing.utilities import prefect_test_harness

from mirror.errors import CorpusError, ServiceError
from mirror.reuse_only import NotMadeError, reuse_only
from mirror.store import Stage, StageRecord, Store
from tasks.progress import Reporter
from tasks.retries import RETRIES
from tasks.stage_task import cached_task, stage_task

STAGE = Stage("sample", "sampling", {"corpus": "c" * 64}, {"size": 3})
AT_ONCE = {**RETRIES, "retry_delay_seconds": [0, 0, 0]}


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    """Prefect with a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


def write(out: Path, _work: Path) -> Mapping[str, int]:
    (out / "strings").write_text("a\nb\nc\n")
    return {"strings": 3}


@stage_task()
def make_sample(report: Reporter, workspace: Path) -> StageRecord:
    return Store(workspace).make(STAGE, write)


@task
def read_sample(record: StageRecord) -> str:
    return (record.path / "strings").read_text()


def states_of(run: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    """Return a flow's result, and name and state of its tasks in order."""
    seen: list[UUID] = []

    @flow
    def observed() -> Any:
        from prefect.context import FlowRunContext

        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        seen.append(context.flow_run.id)
        return run()

    result = observed()
    chosen = TaskRunFilter.model_validate({"flow_run_id": {"any_": seen}})
    until = monotonic() + 30
    with get_client(sync_client=True) as client:
        # The server records the states of tasks some time after they were reported.
        while True:
            found = client.read_task_runs(task_run_filter=chosen)
            if monotonic() > until or (found and all(run.state.is_final() for run in found)):
                break
            sleep(0.1)
    ordered = sorted(found, key=lambda made: made.start_time)
    # A stage's is its own; that of another task ends in a dash and a few letters.
    names = [made.name.rpartition("-")[0] or made.name for made in ordered]
    return result, [(name, made.state.name) for name, made in zip(names, ordered, strict=True)]


def test_a_computed_stage_is_completed_and_a_reused_one_cached(tmp_path: Path) -> None:
    def run() -> list[StageRecord]:
        return [make_sample(tmp_path), make_sample(tmp_path)]

    (made, found), states = states_of(run)
    assert states == [("make_sample", "Completed"), ("make_sample", "Cached")]
    assert (made.reused, found.reused) == (False, True)
    assert dataclasses.replace(found, reused=False) == made


def test_a_removed_stage_is_not_cached(tmp_path: Path) -> None:
    """Prefect itself remembers nothing."""

    def run() -> None:
        record = make_sample(tmp_path)
        (record.path / "strings").unlink()
        make_sample(tmp_path)

    _, states = states_of(run)
    assert [state for _, state in states] == ["Completed", "Completed"]


def test_the_next_task_is_given_the_record(tmp_path: Path) -> None:
    make_sample.fn(tmp_path)
    text, states = states_of(lambda: read_sample(make_sample(tmp_path)))
    assert text == "a\nb\nc\n"
    assert states == [("make_sample", "Cached"), ("read_sample", "Completed")]


def test_return_state_returns_the_state(tmp_path: Path) -> None:
    make_sample.fn(tmp_path)
    state, _ = states_of(lambda: [make_sample(tmp_path, return_state=True)])
    assert isinstance(state[0], State)
    assert state[0].name == "Cached"
    assert state[0].result().counts == {"strings": 3}


def test_in_reuse_only_mode_a_task_is_a_plain_function(tmp_path: Path) -> None:
    with reuse_only(), pytest.raises(NotMadeError):
        make_sample(tmp_path)
    made = make_sample.fn(tmp_path)

    def run() -> StageRecord:
        with reuse_only():
            return make_sample(tmp_path)

    assert run() == dataclasses.replace(made, reused=True)


def test_outside_a_run_the_record_is_as_it_is(tmp_path: Path) -> None:
    record = make_sample.fn(tmp_path)
    assert isinstance(record, StageRecord)


def test_a_failing_stage_raises_its_error() -> None:
    @stage_task()
    def fail(report: Reporter) -> StageRecord:
        raise CorpusError("no text at here")

    with pytest.raises(CorpusError, match="no text at here"):
        states_of(fail)


def failing_first(times: int, error: Exception, kind: Callable[..., Any]) -> tuple[Any, list[int]]:
    """A task that fails so many times and then gives a record, and its calls."""
    calls: list[int] = []

    @kind(**AT_ONCE)
    def fetch() -> Any:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return StageRecord("seven", "7", "nowhere", "7")

    return fetch, calls


@pytest.mark.parametrize("kind", [task, cached_task])
def test_a_service_that_answers_later_is_retried(kind: Callable[..., Any]) -> None:
    fetch, calls = failing_first(2, ServiceError("the hub did not answer"), kind)
    assert states_of(fetch)[0].key == "7"
    assert len(calls) == 3


def test_retries_of_a_service_end() -> None:
    fetch, calls = failing_first(9, ServiceError("the hub did not answer"), task)
    with pytest.raises(ServiceError, match="the hub did not answer"):
        states_of(fetch)
    assert len(calls) == 1 + RETRIES["retries"]


@pytest.mark.parametrize("error", [CorpusError("no text"), ValueError("a fault of ours")])
@pytest.mark.parametrize("kind", [task, cached_task])
def test_a_fault_is_not_tried_again(error: Exception, kind: Callable[..., Any]) -> None:
    fetch, calls = failing_first(1, error, kind)
    with pytest.raises(type(error), match=str(error)):
        states_of(fetch)
    assert len(calls) == 1
