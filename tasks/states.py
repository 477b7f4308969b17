"""Prefect's view of a stage, made to agree with the store's."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast

from prefect.states import Completed

REUSED = "Cached"


class MayBeReused(Protocol):
    """What a stage leaves behind."""

    @property
    def reused(self) -> bool:
        """Whether this run found it made."""
        ...


Result = TypeVar("Result", bound=MayBeReused)


def report_state(result: Result) -> Result:
    """The task's result as a state: `Cached` if the store had it, which is the only cache.

    Typed as the result, because that is what calling the task gives.
    """
    state: Any = Completed(data=result)
    if result.reused:
        state = Completed(name=REUSED, message="Found made and whole; reused", data=result)
    return cast(Result, state)
