"""Prefect tasks whose state says whether a stage was made or reused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from prefect import Task
from prefect.client.schemas import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed

from mirror.reuse_only import is_reuse_only
from mirror.store import StageRecord
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter

REUSED = "Cached"


class Reusable(Protocol):
    """A result that an earlier run may have made."""

    @property
    def reused(self) -> bool:
        """Whether an earlier run made it."""
        ...


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Result = TypeVar("Result", bound=Reusable)


class StageTask(Task[P, R]):
    """Prefect task that may return a named state; calling it returns the result.

    In reuse-only mode it is a plain function: nothing is reported to Prefect.
    """

    if not TYPE_CHECKING:  # the overloads of Task stay in force

        def __call__(self, *args: Any, return_state: bool = False, **options: Any) -> Any:
            """Run the task."""
            if is_reuse_only():
                return self.fn(*args, **options)
            result = super().__call__(*args, return_state=return_state, **options)
            # Prefect hands a state that a task returns to its caller as it is.
            return result if return_state else unwrap_state(result)


def run_task(**options: Any) -> Callable[[Callable[P, T]], StageTask[P, T]]:
    """Return a decorator: a task of a run, whose name is the function's by default.

    Args:
        options: those of a Prefect task.
    """

    def decorate(function: Callable[P, T]) -> StageTask[P, T]:
        return StageTask(function, **{"task_run_name": function.__name__} | options)

    return decorate


def cached_task(**options: Any) -> Callable[[Callable[P, Result]], StageTask[P, Result]]:
    """Return a decorator: a task whose state is `Cached` if its result was reused.

    Args:
        options: those of a Prefect task; the name of its runs is the function's by default.
    """

    def decorate(function: Callable[P, Result]) -> StageTask[P, Result]:
        @wraps(function)
        def run(*args: P.args, **keywords: P.kwargs) -> Result:
            return _as_cached_state(function(*args, **keywords))

        return run_task(**options)(run)

    return decorate


def stage_task(
    table: str = "", title: str = "", **options: Any
) -> Callable[[Callable[Concatenate[Reporter, P], StageRecord]], StageTask[P, StageRecord]]:
    """Return a decorator: a task that makes a stage, reports progress and shows its counts.

    The function's first parameter is a `Reporter`, which callers of the task leave out.

    Args:
        table: the key of the artifact with the stage's counts; none is shown by default.
        title: its description, in which `{run}` and the other parameters can be used.
        options: those of a Prefect task.
    """

    def decorate(
        function: Callable[Concatenate[Reporter, P], StageRecord],
    ) -> StageTask[P, StageRecord]:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        public = signature.replace(parameters=parameters)

        @wraps(function)
        def run(*args: P.args, **keywords: P.kwargs) -> StageRecord:
            record = function(Reporter(), *args, **keywords)
            if table:
                values = public.bind(*args, **keywords).arguments
                show_table(table, count_rows(record.counts), title.format(**values))
            return record

        run.__signature__ = public  # type: ignore[attr-defined]
        return cached_task(**options)(run)

    return decorate


def as_named_state(result: T, name: str, message: str) -> T:
    """Return the result as a completed, named state inside a flow run; see `unwrap_state`."""
    if FlowRunContext.get() is None:
        return result
    return cast(T, Completed(name=name, message=message, data=result))


def unwrap_state(result: T | State[T]) -> T:
    """Return what a flow or task gave, whether or not it named its state."""
    return cast(T, result.result()) if isinstance(result, State) else result


def _as_cached_state(result: Result) -> Result:
    """Return the result as a state inside a task run; typed as what calling the task gives."""
    if TaskRunContext.get() is None:
        return result
    state: Any = Completed(data=result)
    if result.reused:
        state = Completed(
            name=REUSED, message="Reused: the stage is complete and undamaged", data=result
        )
    return cast(Result, state)
