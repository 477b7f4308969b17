"""When a task is tried again: only where a service may answer later, never for a fault in input."""

from __future__ import annotations

from typing import Any, TypedDict

from prefect.client.schemas import State

from mirror.errors import ServiceError


class Retries(TypedDict):
    """Options of a task."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


def may_answer_later(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether the task failed because a service did not answer."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


RETRIES: Retries = {
    "retries": 3,
    "retry_delay_seconds": [2, 10, 30],
    "retry_condition_fn": may_answer_later,
}
