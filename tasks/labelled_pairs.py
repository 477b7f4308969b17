"""Labelled pairs as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.corpus import labelled_pairs
from mirror.recipe import Recipe
from mirror.store import StageRecord, Store
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def gather_pairs(recipe: Recipe, workspace: Path) -> StageRecord:
    """Gathers a recipe's labelled pairs; see `mirror.corpus.labelled_pairs.gather_pairs`."""
    record = labelled_pairs.gather_pairs(recipe, Store(workspace), Reporter())
    show_table("pairs", count_rows(record.counts), f"Labelled pairs of {recipe.name}")
    return as_cached_state(record)
