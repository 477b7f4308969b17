"""Index compatibility stage: a new encoder compared with the champion that it replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import InputError
from mirror.evaluation.procrustes import SpaceMap, save_map
from mirror.evaluation.result import TextEncoder
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release.index_compatibility import (
    COMPATIBILITY,
    COMPATIBILITY_TEMPLATE,
    MAP,
    MAX_TEXTS,
    MIN_TEXTS,
    PAGE,
    Compatibility,
    compare_spaces,
    render_compatibility,
    to_json,
)
from mirror.rendering import template_digest
from mirror.stage_files import sampled_texts
from mirror.store import Stage, StageRecord, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIBRARIES = ("jinja2", "numpy", "safetensors", "tokenizers", "torch", "transformers")
NAMES = ("the former champion", "this version")
CHUNK = 500
"""Texts encoded between two progress events."""


def compatibility_stage(old: EncoderRef, new: EncoderRef, sample: StageRecord) -> Stage:
    """Return the stage that compares two encoders on a sample."""
    inputs = {
        "old": old.digest,
        "new": new.digest,
        "sample": sample.digest,
        "template": template_digest(COMPATIBILITY_TEMPLATE),
        "style": template_digest("report.css"),
    }
    return Stage("compatibility", "release.index_compatibility_stage", inputs, {}, LIBRARIES)


def compare_encoders(
    old: EncoderRef,
    new: EncoderRef,
    sample: StageRecord,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Compare two encoders, or reuse an equal comparison.

    The folder holds `compatibility.json`, `compatibility.html` and `map.safetensors`.

    Raises:
        BaseModelError: an encoder cannot be loaded.
        InputError: the sample is too small, or an encoder gives no numbers.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.encoders.encoder import Encoder

        before, after = (Encoder.load(Path(encoder.folder)) for encoder in (old, new))
        comparison, space_map = compare_on_texts(before, after, sampled_texts(sample), on_progress)
        (out / COMPATIBILITY).write_text(to_json(comparison), encoding="utf-8")
        (out / PAGE).write_text(render_compatibility(*NAMES, comparison), encoding="utf-8")
        save_map(space_map, out / MAP)
        return {
            "verdict": comparison.verdict,
            "overlap": comparison.neighbours.mean,
            "texts": comparison.judged,
        }

    return store.make(compatibility_stage(old, new, sample), write)


def compare_on_texts(
    old: TextEncoder, new: TextEncoder, texts: Sequence[str], on_progress: OnProgress = no_progress
) -> tuple[Compatibility, SpaceMap]:
    """Compare two encoders on the first 4,000 distinct texts.

    Raises:
        InputError: there are too few, or an encoder gives no numbers.
    """
    # A repeated text would be its nearest neighbour, and could be in both halves.
    chosen = list(dict.fromkeys(text for text in texts if text.strip()))[:MAX_TEXTS]
    if len(chosen) < MIN_TEXTS:
        raise InputError(f"{len(chosen)} different texts are too few: give {MIN_TEXTS} or more")
    total = 2 * len(chosen)
    import numpy as np

    embeddings: list[NDArray[np.float32]] = []
    for number, encoder in enumerate((old, new)):
        parts = []
        for start in range(0, len(chosen), CHUNK):
            on_progress(
                ProgressEvent("compatibility", number * len(chosen) + start, total, "texts")
            )
            parts.append(encoder.encode(chosen[start : start + CHUNK]))
        embeddings.append(np.concatenate(parts))
    on_progress(ProgressEvent("compatibility", total, total, "texts"))
    return compare_spaces(*embeddings)
