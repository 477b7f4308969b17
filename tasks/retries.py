"""When a task is tried again: only where a service may answer later, never for a fault in input."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

from prefect.client.schemas import State

from mirror.errors import ServiceError

log = logging.getLogger(__name__)

DELAYS = (2.0, 10.0, 30.0, 60.0, 60.0)
"""A server that is started anew within two minutes and a half is waited for."""


class Retries(TypedDict):
    """Options of a task."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


def may_answer_later(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether the task failed because a service did not answer; says that it is waited for."""
    fault = state.result(raise_on_failure=False)
    if not isinstance(fault, ServiceError):
        return False
    tried = max(run.run_count, 1)
    delays = task.retry_delay_seconds
    delay = delays[min(tried, len(delays)) - 1]
    log.warning("%s; trying again in %.0f s (%d of %d)", fault, delay, tried, task.retries)
    return True


RETRIES: Retries = {
    "retries": len(DELAYS),
    "retry_delay_seconds": list(DELAYS),
    "retry_condition_fn": may_answer_later,
}
