"""Parts of a stage on the workers of a Dask or Ray cluster; results in the order of the parts.

`MIRROR_RUNNER` names the kind of cluster, `MIRROR_CLUSTER` its address; without an address one is
started on this machine.  Workers need this project, and read what the parts name, such as files, by
the same paths.  The cluster tries a part whose worker died again, elsewhere and alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, get_args

from mirror.errors import InputError, ServiceError
from mirror.hardware import usable_cores

Result = TypeVar("Result")
Runner = Literal["thread", "process", "dask", "ray"]

RUNNERS: tuple[Runner, ...] = get_args(Runner)
"""Ways to run recipes at the same time; the last two are clusters."""
RUNNER = "MIRROR_RUNNER"
CLUSTER = "MIRROR_CLUSTER"
PACKAGES = {"dask": "distributed", "ray": "ray"}
"""The package that each kind of cluster needs."""
RETRIES = 2
"""Further tries of a part that failed."""
QUEUED_PARTS = 3
"""Parts queued for each worker."""


@dataclass(frozen=True)
class Workers:
    """Workers that run functions, and how many there are."""

    submit: Callable[..., Any]
    """As `Executor.submit`: returns a future."""
    count: int


@contextmanager
def cluster_workers() -> Iterator[Workers | None]:
    """Yield the workers of the cluster that the environment names; None if it names none.

    Also None in a process of a cluster, whose cores belong to other tasks.

    Raises:
        InputError: its kind needs an extra that is not installed.
        ServiceError: the cluster does not answer.
    """
    kind = os.environ.get(RUNNER)
    if kind in PACKAGES and find_spec(PACKAGES[kind]) is None:
        raise not_installed(kind)
    if kind == "dask" and not _is_dask_worker():
        with _dask() as workers:
            yield workers
    elif kind == "ray" and not _is_ray_worker():
        with _ray() as workers:
            yield workers
    else:
        yield None


def not_installed(runner: str) -> InputError:
    """Return the error about a runner whose extra is not installed."""
    return InputError(
        f"the runner {runner!r} is not installed: pip install -c constraints.txt -e '.[{runner}]', "
        "or choose another"
    )


def map_in_order(
    workers: Workers | Executor,
    function: Callable[..., Result],
    parts: Iterable[Any],
    queued: int,
) -> Iterator[Result]:
    """Yield the function's result of each part, in the order of the parts.

    Args:
        workers: run the function.
        function: of one part.
        parts: read as results are taken.
        queued: parts that are submitted and not yet yielded, at most.
    """
    futures: deque[Any] = deque()
    for part in parts:
        futures.append(workers.submit(function, part))
        if len(futures) > queued:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


@contextmanager
def _dask() -> Iterator[Workers]:
    from distributed import Client

    address = os.environ.get(CLUSTER)
    local = {"n_workers": usable_cores(), "threads_per_worker": 1, "dashboard_address": None}
    options = {"address": address} if address else {**local, "host": "127.0.0.1"}
    try:
        client: Any = Client(**options, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise _no_answer("dask", address, error) from error
    with client:

        def submit(function: Callable[..., Any], *arguments: Any) -> Any:
            return client.submit(function, *arguments, pure=False, retries=RETRIES)

        yield Workers(submit, max(1, len(client.scheduler_info()["workers"])))


@contextmanager
def _ray() -> Iterator[Workers]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get(CLUSTER)
    started = not ray.is_initialized()
    if started:
        local = {"num_cpus": usable_cores(), "include_dashboard": False}
        try:
            ray.init(**({"address": address} if address else local), log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _no_answer("ray", address, error) from error
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]

        def submit(function: Callable[..., Any], *arguments: Any) -> Any:
            remote = ray.remote(max_retries=RETRIES)(function)
            return remote.remote(*arguments).future()

        yield Workers(submit, max(1, int(resources.get("CPU", 1))))
    finally:
        if started:
            ray.shutdown()


def _is_dask_worker() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def _is_ray_worker() -> bool:
    import ray

    return bool(ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def _no_answer(kind: str, address: str | None, error: Exception) -> ServiceError:
    where = f"at {address}" if address else "on this machine"
    return ServiceError(
        f"the {kind} cluster {where} does not answer ({error}): start it, or correct {CLUSTER}, or "
        f"unset {RUNNER} to work on this machine"
    )
