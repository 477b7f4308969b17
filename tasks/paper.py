"""Two encoders on one benchmark, as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.experiments import paper_pairs
from mirror.store import StageRecord, Store
from tasks.stage_task import cached_task


@cached_task(task_run_name="pair-{first.label}-{second.label}-{benchmark}")
def score_pair(
    first: EncoderRef, second: EncoderRef, benchmark: str, workspace: Path
) -> StageRecord:
    """Scores two encoders on a lexicon; see `mirror.experiments.paper_pairs.score_pair`."""
    return paper_pairs.score_pair(first, second, benchmark, Store(workspace))
