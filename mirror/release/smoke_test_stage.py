"""The probe: an encoder tried as a service would use it, in a clean process."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release.smoke_test_result import PROBE
from mirror.store import Stage, StageRecord, Store


def probe_stage(encoder: EncoderRef, sample: StageRecord) -> Stage:
    """The stage that tries an encoder."""
    inputs = {"encoder": encoder.digest, "sample": sample.digest}
    libraries = ("sentence-transformers", "torch", "transformers", "tokenizers")
    return Stage("probe", "release.smoke_test", inputs, {}, libraries)


def probe_encoder(
    encoder: EncoderRef,
    sample: StageRecord,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Tries an encoder as a service would use it; the folder holds `probe.json`.

    What is wrong with the encoder is in the probe, for the gate to judge.

    Raises:
        StoreError: the sample is damaged, or the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.release.smoke_test import try_encoder

        on_progress(ProgressEvent("probe", 0, 1, "encoders"))
        found = asdict(try_encoder(Path(encoder.folder), sample, work))
        (out / PROBE).write_text(json.dumps(found), encoding="utf-8")
        return {name: value for name, value in found.items() if value not in ("", math.inf)}

    return store.make(probe_stage(encoder, sample), write)
