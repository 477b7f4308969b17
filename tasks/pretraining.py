"""Pretraining as tasks."""

from __future__ import annotations

from pathlib import Path

from mirror.pretraining import stage
from mirror.pretraining.config import PretrainingSettings
from mirror.store import StageRecord, Store
from tasks.artifacts import count_rows, show_table
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def prepare_pieces(settings: PretrainingSettings, workspace: Path) -> StageRecord:
    """Vocabulary, first weights and word pieces; see `mirror.pretraining.stage.prepare_pieces`."""
    return as_cached_state(stage.prepare_pieces(settings, Store(workspace), Reporter()))


@stage_task()
def pretrain_model(
    settings: PretrainingSettings, pieces: StageRecord, workspace: Path, minutes: float | None
) -> StageRecord:
    """The model; see `mirror.pretraining.stage.pretrain_model`.

    Without a timeout: a run goes on for as many sittings as it takes.
    """
    record = stage.pretrain_model(settings, pieces, Store(workspace), minutes, Reporter())
    show_table("pretraining", count_rows(record.counts), f"Pretraining of {settings.name}")
    return as_cached_state(record)
