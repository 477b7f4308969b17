"""Checks before long work, whose faults are all listed at once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path

from mirror import run_context
from mirror.corpus import labelled_pairs, sources
from mirror.encoders import base_model, base_settings
from mirror.errors import InputError, MirrorError, ServiceError, StoreError
from mirror.evaluation import datasets, document_counts, general
from mirror.run_context import RunContext
from mirror.sampling import sample as sampling
from mirror.tuning.device_lock import runs_per_device
from tasks.environment import workspace_root
from tasks.notifications import check_notification_blocks, notification_blocks
from tasks.registry import check_registry, fetch_model
from tasks.registry.remembered_answers import recall
from tasks.retries import RETRIES
from tasks.stage_task import run_task

log = logging.getLogger(__name__)

FREE_BYTES = 2 << 30
"""About five times what a run of the shipped recipe writes."""


_handed_over: ContextVar[RunContext | None] = ContextVar("handed_over", default=None)


@contextmanager
def hand_over(run: RunContext) -> Iterator[None]:
    """Let the flow that starts in the block take a run that is loaded and checked already."""
    token = _handed_over.set(run)
    try:
        yield
    finally:
        _handed_over.reset(token)


def load_run(recipe: str, base: str = "") -> RunContext:
    """Return the run of a recipe: the one that was handed over, or a new one."""
    run = _handed_over.get()
    if run is not None and run.request == (recipe, base):
        return run
    return run_context.load_run(recipe, base, workspace_root())


@run_task(**RETRIES)
def check_ready(run: RunContext) -> None:
    """Check everything that can be checked before long work, unless it has been.

    Raises:
        MirrorError: something is missing; all faults are listed.
    """
    check_notification_blocks()
    if not run.is_checked:
        check_run(run)


def check_run(run: RunContext) -> None:
    """Check workspace, disk, text, base, benchmarks, registry and settings, outside Prefect.

    Raises:
        MirrorError: something is missing; all faults are listed.
    """
    recipe = run.recipe
    checks: list[Callable[[], object]] = [
        partial(check_space, run.workspace),
        partial(sources.check_sources, recipe),
        partial(labelled_pairs.check_pairs, recipe),
        partial(sampling.check_sampling, recipe),
        partial(_check_base, run),
        partial(datasets.check_benchmarks, recipe.evaluation.benchmarks, recipe.evaluation.guard),
        partial(document_counts.check_retrieval_forms, recipe),
        partial(general.warn_of_unseen_loss, recipe),
        partial(_check_registry, run),
        notification_blocks,
        runs_per_device,
    ]
    found = [fault for check in checks if (fault := _fault_of(check)) is not None]
    faults = list({str(fault): fault for fault in found}.values())
    if len(faults) == 1:
        raise faults[0]
    if faults:
        may_pass = all(isinstance(fault, ServiceError) for fault in faults)
        listed = "\n".join(f"  {fault}" for fault in faults)
        kind = ServiceError if may_pass else InputError
        raise kind(f"recipe {recipe.name} cannot run, for {len(faults)} reasons:\n{listed}") from (
            faults[0]
        )
    run.is_checked = True


def check_space(root: Path, needed: int = FREE_BYTES) -> None:
    """Raise StoreError if the workspace's disk has too little free space."""
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StoreError(
            f"the disk of the workspace {root} has {free / 2**30:.1f} GiB free and a run needs "
            f"{needed / 2**30:.1f}: free some space, or set MIRROR_HOME to a folder on another disk"
        )


def _check_base(run: RunContext) -> None:
    from_registry = partial(fetch_model, workspace=run.workspace)
    folder, _ = base_model.locate_base(run.recipe.base, from_registry)
    base_settings.check_base_for(run.recipe, folder)


def _check_registry(run: RunContext) -> None:
    if recall(run.recipe.registry.model, run.workspace) is None:
        check_registry()


def _fault_of(check: Callable[[], object]) -> MirrorError | None:
    try:
        check()
    except MirrorError as fault:
        return fault
    return None
