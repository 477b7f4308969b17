"""Sampling as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.recipe import Recipe
from mirror.sampling import sample as sampling
from mirror.store import StageRecord, Store
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def sample_strings(recipe: Recipe, corpus: StageRecord, workspace: Path) -> StageRecord:
    """Draws the strings to tune on; see `mirror.sampling.sample.sample_strings`."""
    record = sampling.sample_strings(recipe, corpus, Store(workspace), Reporter())
    show_table("sample", count_rows(record.counts), f"Sample of {recipe.name}")
    return as_cached_state(record)
