"""Trying an encoder as a service would, as a task."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_place import EncoderPlace
from mirror.evidence import probe_stage
from mirror.progress import Progress
from mirror.store import StageRecord, Store
from tasks.progress import Reporter
from tasks.states import report_state, stage_task


@stage_task()
def probe_encoder(encoder: EncoderPlace, sample: StageRecord, workspace: Path) -> StageRecord:
    """Asks the encoder in a clean process; see `mirror.evidence.probe_stage.probe_encoder`."""
    place = (Path(encoder.folder), encoder.digest)
    report = Reporter()
    record = probe_stage.probe_encoder(place, sample, Store(workspace), report)
    if not record.reused:
        report(Progress("probe", 1, 1, "encoders"))
    return report_state(record)
