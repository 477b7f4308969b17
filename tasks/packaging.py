"""Packaging as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.release.package import ENCODER
from mirror.release.package import package_encoder as write_package
from mirror.release.run_results import RunResults
from mirror.store import StageRecord, Store
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def package_encoder(results: RunResults, workspace: Path) -> StageRecord:
    """Puts encoder and card together; see `mirror.release.package.package_encoder`."""
    record = write_package(results, Store(workspace), Reporter())
    return as_cached_state(record)


def packaged_encoder(package: StageRecord) -> Path:
    """The folder for SentenceTransformer in a package."""
    return package.path / ENCODER
