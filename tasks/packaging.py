"""Packaging as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.evidence import packaging_stage
from mirror.evidence.results import Results
from mirror.store import StageRecord, Store
from tasks.progress import Reporter
from tasks.states import report_state, stage_task


@stage_task()
def package_encoder(results: Results, workspace: Path) -> StageRecord:
    """Puts encoder and card together; see `mirror.evidence.packaging_stage.package_encoder`."""
    record = packaging_stage.package_encoder(results, Store(workspace), Reporter())
    return report_state(record)


def packaged_encoder(package: StageRecord) -> Path:
    """The folder for SentenceTransformer in a package."""
    return package.path / packaging_stage.ENCODER
