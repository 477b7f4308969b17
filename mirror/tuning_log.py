"""What tuning leaves beside the encoder: a log of its steps, and counts for the stage's record."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from mirror.held_out import best_step, sum_of
from mirror.tuning_checkpoint import Advance
from mirror.tuning_run import Run

log = logging.getLogger(__name__)

STEPS = "steps.jsonl"


def write_log(run: Run, out: Path) -> Mapping[str, Any]:
    """Writes `steps.jsonl`, a line for each step, and sums the run up."""
    advance = run.advance
    with (out / STEPS).open("w", encoding="utf-8") as file:
        for line in _lines(advance):
            file.write(json.dumps(line) + "\n")
    return {
        "steps": advance.step,
        "strings": len(run.items),
        "first_loss": advance.losses[0],
        "final_loss": advance.losses[-1],
        "masked_share": advance.masked / (advance.step * run.settings.batch_size),
        "precision": "bf16" if run.bf16 else "fp32",
        "device": run.encoder.device.type,
        "threads": torch.get_num_threads(),
        **_kept(run),
    }


def _lines(advance: Advance) -> Iterator[dict[str, float]]:
    measures = {measure["step"]: measure for measure in advance.measures}
    for step, (loss, rate) in enumerate(zip(advance.losses, advance.rates, strict=True), 1):
        yield {"step": step, "loss": loss, "rate": rate, **measures.get(step, {})}


def _kept(run: Run) -> dict[str, Any]:
    """Which step's weights were kept, where steps were measured."""
    measures = run.advance.measures
    if not measures:
        return {}
    kept = best_step(measures)
    least = min(map(sum_of, measures))
    log.info(
        "kept step %d of %d: alignment and uniformity %.4f, at the last step %.4f",
        kept,
        run.total,
        least,
        sum_of(measures[-1]),
    )
    return {
        "strings_held_out": len(run.held_out),
        "kept_step": kept,
        "kept_alignment_and_uniformity": least,
        "final_alignment_and_uniformity": sum_of(measures[-1]),
    }
