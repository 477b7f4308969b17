"""The stage that compares a new encoder with the champion that it succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.progress import OnProgress, no_progress
from mirror.release.index_compatibility_page import COMPATIBILITY_TEMPLATE
from mirror.rendering import template_digest
from mirror.store import Stage, StageRecord, Store

LIBRARIES = ("jinja2", "numpy", "safetensors", "tokenizers", "torch", "transformers")
NAMES = ("the former champion", "this version")


def compatibility_stage(old: EncoderRef, new: EncoderRef, sample: StageRecord) -> Stage:
    """The stage that compares two encoders on a sample."""
    inputs = {
        "old": old.digest,
        "new": new.digest,
        "sample": sample.digest,
        "template": template_digest(COMPATIBILITY_TEMPLATE),
        "style": template_digest("report.css"),
    }
    return Stage("compatibility", "release.comparing", inputs, {}, LIBRARIES)


def compare_encoders(
    old: EncoderRef,
    new: EncoderRef,
    sample: StageRecord,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Compares the encoders, or finds them compared.

    Leaves `compatibility.json`, `compatibility.html` and `map.safetensors`.

    Raises:
        BaseModelError: an encoder cannot be loaded.
        InputError: the sample is too small, or an encoder gives no numbers.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.release.comparing import write_compatibility

        sides = [(Path(side.folder), name) for side, name in zip((old, new), NAMES, strict=True)]
        found = write_compatibility(sides[0], sides[1], sample, out, on_progress)
        return {"verdict": found.verdict, "overlap": found.neighbours.mean, "texts": found.judged}

    return store.make(compatibility_stage(old, new, sample), write)
