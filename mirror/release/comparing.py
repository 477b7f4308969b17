"""Two encoders' vectors of the same texts, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirror.encoders.encoder import Encoder
from mirror.errors import InputError
from mirror.evaluation.kinds.space_diagnostics import sampled_texts
from mirror.evaluation.procrustes import SpaceMap, save_map
from mirror.evaluation.result import TextEncoder
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release.index_compatibility import (
    COMPATIBILITY,
    LEAST,
    MAP,
    MOST,
    PAGE,
    Compatibility,
    compare_spaces,
    to_json,
)
from mirror.release.index_compatibility_page import render_compatibility
from mirror.store import StageRecord

AT_ONCE = 500
"""Texts encoded between two signs of life."""


def compare_encoders(
    old: TextEncoder, new: TextEncoder, texts: Sequence[str], on_progress: OnProgress = no_progress
) -> tuple[Compatibility, SpaceMap]:
    """Compares two encoders on texts, of which the first 4,000 that differ are taken.

    Raises:
        InputError: there are too few, or an encoder gives no numbers.
    """
    # A text twice would be its own neighbour, and stand in both halves.
    chosen = list(dict.fromkeys(text for text in texts if text.strip()))[:MOST]
    if len(chosen) < LEAST:
        raise InputError(f"{len(chosen)} different texts are too few: give {LEAST} or more")
    total = 2 * len(chosen)
    sides: list[NDArray[np.float32]] = []
    for number, encoder in enumerate((old, new)):
        parts = []
        for start in range(0, len(chosen), AT_ONCE):
            on_progress(
                ProgressEvent("compatibility", number * len(chosen) + start, total, "texts")
            )
            parts.append(encoder.encode(chosen[start : start + AT_ONCE]))
        sides.append(np.concatenate(parts))
    on_progress(ProgressEvent("compatibility", total, total, "texts"))
    return compare_spaces(*sides)


def write_compatibility(
    old: tuple[Path, str],
    new: tuple[Path, str],
    sample: StageRecord,
    out: Path,
    on_progress: OnProgress = no_progress,
) -> Compatibility:
    """Compares two encoders' folders on a run's sample; leaves report, page and map in `out`.

    Args:
        old: folder and name of the encoder that indexes were made with.
        new: folder and name of the one that succeeds it.
        sample: whose strings are compared on.
        out: the folder written to.
        on_progress: told of texts.

    Raises:
        BaseModelError: an encoder cannot be loaded.
        InputError: the sample is too small, or an encoder gives no numbers.
    """
    before, after = Encoder.load(old[0]), Encoder.load(new[0])
    found, space_map = compare_encoders(before, after, sampled_texts(sample), on_progress)
    (out / COMPATIBILITY).write_text(to_json(found), encoding="utf-8")
    (out / PAGE).write_text(render_compatibility(old[1], new[1], found), encoding="utf-8")
    save_map(space_map, out / MAP)
    return found
