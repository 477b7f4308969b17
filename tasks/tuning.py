"""Tuning as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_in_subprocess
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def tune_encoder(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    workspace: Path,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """Tunes the base on the strings, and on labelled pairs; see `mirror.tuning.stage.tune_encoder`.

    In a process of its own, which a cancelled run ends at a checkpoint.  Without a timeout here:
    how long it may take is the recipe's affair (`tuning.timeout_minutes`).
    """
    store = Store(workspace)
    record = tune_in_subprocess(recipe, sample, base, store, Reporter(), pairs=pairs)
    show_table("tuning", count_rows(record.counts), f"Tuning of {recipe.name}")
    return as_cached_state(record)
