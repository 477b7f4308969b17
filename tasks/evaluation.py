"""Evaluation as a task: base, tuned encoder and champion all go through the same."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation import stage as evaluation_stage
from mirror.progress import ProgressEvent
from mirror.recipe import Recipe
from mirror.run_data import RunData
from mirror.store import StageRecord, Store
from tasks.artifacts import rounded, show_table
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task(task_run_name="evaluate_encoder-{encoder.label}")
def evaluate_encoder(
    recipe: Recipe,
    encoder: EncoderRef,
    data: RunData,
    workspace: Path,
) -> StageRecord:
    """Measures an encoder on the benchmarks; see `mirror.evaluation.stage.evaluate_encoder`."""
    report = Reporter()
    record = evaluation_stage.evaluate_encoder(recipe, encoder, data, Store(workspace), report)
    if not record.reused:
        number = len(record.counts) + 1  # after them comes a look at the vectors
        report(ProgressEvent("evaluation", number, number, "benchmarks", "measured"))
    rows = [{"benchmark": name, "score": rounded(score)} for name, score in record.counts.items()]
    show_table(f"scores-{encoder.label}", rows, f"Scores of {encoder.label}, {recipe.name}")
    return as_cached_state(record)
