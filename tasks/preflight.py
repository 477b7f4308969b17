"""What can be known to be wrong before any long work."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prefect import task

from mirror.corpus import labelled_pairs, sources
from mirror.encoders import base_model
from mirror.errors import InputError, MirrorError, ServiceError, StoreError
from mirror.evaluation import benchmark
from mirror.recipe import Recipe
from mirror.sampling import sample as sampling
from mirror.store import Store
from mirror.tuning.device_lock import runs_per_device
from tasks.environment import workspace_root
from tasks.notifications import check_notices, notice_blocks
from tasks.registry import check_registry, fetch_model
from tasks.retries import RETRIES

log = logging.getLogger(__name__)

FREE_BYTES = 2 << 30
"""A run of the shipped recipe leaves about a fifth of this behind."""


@task(task_run_name="check_ready", **RETRIES)
def check_ready(recipe: Recipe) -> Path:
    """Checks workspace, space, text, base, benchmarks, store, settings; returns the workspace.

    Raises:
        MirrorError: something is missing; all faults that were found are listed.
    """
    check_notices()
    return find_workspace(recipe)


def find_workspace(recipe: Recipe) -> Path:
    """As `check_ready`, outside Prefect."""
    root = workspace_root()
    Store(root)
    checks: list[Callable[[], object]] = [
        partial(check_space, root),
        partial(sources.check_sources, recipe),
        partial(labelled_pairs.check_pairs, recipe),
        partial(sampling.check_sampling, recipe),
        partial(_check_base, recipe, root),
        partial(benchmark.check_benchmarks, recipe.evaluation.benchmarks),
        check_registry,
        notice_blocks,
        runs_per_device,
    ]
    faults = [fault for check in checks if (fault := _fault_of(check)) is not None]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        may_pass = all(isinstance(fault, ServiceError) for fault in faults)
        listed = "\n".join(f"  {fault}" for fault in faults)
        kind = ServiceError if may_pass else InputError
        raise kind(f"recipe {recipe.name} cannot run, for {len(faults)} reasons:\n{listed}") from (
            faults[0]
        )
    return root


def check_space(root: Path, needed: int = FREE_BYTES) -> None:
    """Checks that the workspace's disk has room.

    Raises:
        StoreError: it has not.
    """
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StoreError(
            f"the disk of the workspace {root} has {free / 2**30:.1f} GiB free and a run needs "
            f"{needed / 2**30:.1f}: free some, or set MIRROR_HOME to a folder on another disk"
        )


def _check_base(recipe: Recipe, root: Path) -> None:
    base = base_model.find_base(recipe.base, partial(fetch_model, workspace=root))
    base_model.check_base_for(recipe, Path(base.folder))


def _fault_of(check: Callable[[], object]) -> MirrorError | None:
    try:
        check()
    except MirrorError as fault:
        return fault
    return None
