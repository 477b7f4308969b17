"""Ingest as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.corpus import ingest as corpus
from mirror.recipe import Recipe
from mirror.store import StageRecord, Store
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter
from tasks.retries import RETRIES
from tasks.stage_task import as_cached_state, stage_task


@stage_task(**RETRIES)
def ingest_corpus(recipe: Recipe, workspace: Path) -> StageRecord:
    """Turns the recipe's sources into a snapshot; see `mirror.corpus.ingest.ingest_corpus`."""
    record = corpus.ingest_corpus(recipe, Store(workspace), Reporter())
    show_table("corpus", count_rows(record.counts), f"Corpus of {recipe.name}: rows by fate")
    return as_cached_state(record)
