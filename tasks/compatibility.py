"""What a new champion means for those who hold an index, as a task."""

from __future__ import annotations

import logging
from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.release import index_compatibility_stage
from mirror.release.gate import Verdict
from mirror.release.index_compatibility import LEAST, PAGE, read_compatibility, summary
from mirror.store import StageRecord, Store
from tasks.artifacts import show_markdown
from tasks.progress import Reporter
from tasks.registry.candidate import Champion
from tasks.stage_task import as_cached_state, stage_task

log = logging.getLogger(__name__)


@stage_task()
def compare_encoders(
    old: EncoderRef, new: EncoderRef, sample: StageRecord, workspace: Path
) -> StageRecord:
    """Compares them; see `mirror.release.index_compatibility_stage.compare_encoders`."""
    record = index_compatibility_stage.compare_encoders(
        old, new, sample, Store(workspace), Reporter()
    )
    lines = [f"- {line}" for line in summary(read_compatibility(record))]
    lines += ["", f"On the machine that ran it: `{record.path / PAGE}`"]
    show_markdown(
        "compatibility", "\n".join(lines), "Whether an index of the champion's vectors still serves"
    )
    return as_cached_state(record)


def compare_with_champion(
    verdict: Verdict,
    champion: Champion | None,
    new: EncoderRef,
    sample: StageRecord,
    workspace: Path,
) -> StageRecord | None:
    """The comparison, where an encoder is about to succeed a champion; else nothing."""
    if champion is None or not verdict.promote:
        return None
    if sample.counts["strings"] < LEAST:
        log.warning(
            "the sample has %d strings, and whether the champion's index still serves is told "
            "from %d on",
            sample.counts["strings"],
            LEAST,
        )
        return None
    return compare_encoders(champion, new, sample, workspace)
