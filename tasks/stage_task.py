"""Prefect's view of a stage, made to agree with the store's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from prefect import Task
from prefect.client.schemas import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed

REUSED = "Cached"


class MayBeReused(Protocol):
    """What a stage leaves behind."""

    @property
    def reused(self) -> bool:
        """Whether this run found it made."""
        ...


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Result = TypeVar("Result", bound=MayBeReused)


def as_cached_state(result: Result) -> Result:
    """In a task's run, the result as a state: `Cached` if the store had it, the only cache.

    Typed as the result, because that is what calling a `StageTask` gives.
    """
    if TaskRunContext.get() is None:
        return result
    state: Any = Completed(data=result)
    if result.reused:
        state = Completed(name=REUSED, message="Found made and whole; reused", data=result)
    return cast(Result, state)


def as_named_state(result: T, name: str, message: str) -> T:
    """Return the result as a completed, named state inside a flow run; see `unwrap_state`."""
    if FlowRunContext.get() is None:
        return result
    return cast(T, Completed(name=name, message=message, data=result))


def unwrap_state(made: T | State[T]) -> T:
    """What a flow gave, whether or not it named its state."""
    return cast(T, made.result()) if isinstance(made, State) else made


class StageTask(Task[P, R]):
    """A task that may name its own state; calling it gives what the state holds."""

    if not TYPE_CHECKING:  # the overloads of Task stay in force

        def __call__(self, *args: Any, return_state: bool = False, **options: Any) -> Any:
            """Runs the task."""
            made = super().__call__(*args, return_state=return_state, **options)
            # Prefect hands a state that a task returns to its caller as it is.
            return made.result() if isinstance(made, State) and not return_state else made


def stage_task(**options: Any) -> Callable[[Callable[P, R]], StageTask[P, R]]:
    """Makes a function a `StageTask`, its runs named like it; `options` are those of a task."""

    def decorate(function: Callable[P, R]) -> StageTask[P, R]:
        return StageTask(function, **{"task_run_name": function.__name__} | options)

    return decorate
