"""Trying an encoder as a service would, as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.progress import ProgressEvent
from mirror.release import smoke_test_stage
from mirror.store import StageRecord, Store
from tasks.progress import Reporter
from tasks.stage_task import as_cached_state, stage_task


@stage_task()
def probe_encoder(encoder: EncoderRef, sample: StageRecord, workspace: Path) -> StageRecord:
    """Asks the encoder in a clean process; see `mirror.release.smoke_test_stage.probe_encoder`."""
    report = Reporter()
    record = smoke_test_stage.probe_encoder(encoder, sample, Store(workspace), report)
    if not record.reused:
        report(ProgressEvent("probe", 1, 1, "encoders"))
    return as_cached_state(record)
