"""Task runners for many runs at once: threads, processes, or a Dask or Ray cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mirror.cluster import CLUSTER, RUNNER, RUNNERS, Runner, not_installed
from mirror.errors import InputError
from mirror.hardware import usable_cores

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner


def runner_kind(asked: str | None) -> Runner:
    """Return the requested runner, else `MIRROR_RUNNER`, else threads."""
    kind = asked or os.environ.get(RUNNER) or "thread"
    for known in RUNNERS:
        if kind == known:
            return known
    raise InputError(f"{kind!r} is not a runner: set {RUNNER} to one of {', '.join(RUNNERS)}")


def task_runner(kind: Runner, jobs: int) -> TaskRunner[Any]:
    """Return a runner of `jobs` parallel tasks, which share the cores of this machine."""
    # Imported here, because it takes seconds and `runner_kind` does not need it.
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

    if address := os.environ.get(CLUSTER):
        if kind in ("thread", "process"):
            raise InputError(
                f"{CLUSTER} is set, but a {kind} runner uses no cluster: unset it, or set {RUNNER}"
            )
    else:
        # Read by torch and DuckDB in this machine's tasks; a cluster's workers have their own.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // jobs)))
    match kind:
        case "thread":
            return ThreadPoolTaskRunner(max_workers=jobs)
        case "process":
            return ProcessPoolTaskRunner(max_workers=jobs)
        case "dask":
            return _dask(address, jobs)
        case "ray":
            return _ray(address, jobs)


def _dask(address: str | None, jobs: int) -> TaskRunner[Any]:
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise not_installed("dask") from error
    if address:
        return DaskTaskRunner(address=address)
    # No dashboard: it would open a port that the user did not ask for.
    local = {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    return DaskTaskRunner(cluster_kwargs={**local, "host": "127.0.0.1"})


def _ray(address: str | None, jobs: int) -> TaskRunner[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from prefect_ray.task_runners import RayTaskRunner
    except ImportError as error:
        raise not_installed("ray") from error
    local = {"num_cpus": jobs, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    options = {"address": address} if address else {"init_kwargs": local}
    runner: TaskRunner[Any] = RayTaskRunner(**options)
    return runner
