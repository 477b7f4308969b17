"""Retries of tasks: only after a `ServiceError`, never after a fault in the input."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

from prefect.client.schemas import State

from mirror.errors import ServiceError

log = logging.getLogger(__name__)

DELAYS = (2.0, 10.0, 30.0, 60.0, 60.0)
"""Seconds before each retry: enough for a server that restarts within two and a half minutes."""


class Retries(TypedDict):
    """Options of a Prefect task about retries."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


def may_answer_later(task: Any, run: Any, state: State[Any]) -> bool:
    """Return whether the task failed because a service did not answer, and log the retry."""
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
