"""What tuning leaves beside the encoder: a log of its steps, and counts for the stage's record."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mirror.tuning.checkpoint import TrainingState
from mirror.tuning.checkpoint_selection import best_step, sum_of
from mirror.tuning.trainer import Trainer

log = logging.getLogger(__name__)

STEPS = "steps.jsonl"


def write_log(run: Trainer, out: Path) -> Mapping[str, Any]:
    """Writes `steps.jsonl`, a line for each step of each pass, and sums the run up."""
    passes = [run.teacher.advance] if run.teacher else []
    passes.append(run.advance)
    lines = list(_lines(passes))
    with (out / STEPS).open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
    return {
        "steps": len(lines),
        "strings": len(run.items),
        "first_loss": lines[0]["loss"],
        "final_loss": lines[-1]["loss"],
        "masked_share": run.advance.masked / (run.advance.step * run.settings.batch_size),
        "precision": "bf16" if run.bf16 else "fp32",
        "device": run.encoder.device.type,
        "threads": torch.get_num_threads(),
        **({"passes": len(passes)} if run.teacher else {}),
        **_kept(run),
    }


def _lines(passes: Sequence[TrainingState]) -> Iterator[dict[str, float]]:
    """Steps are counted through; of several passes each line says its own."""
    count = itertools.count(1)
    for number, advance in enumerate(passes, 1):
        which = {"pass": number} if len(passes) > 1 else {}
        measures = {measure["step"]: measure for measure in advance.measures}
        rows = zip(advance.losses, advance.rates, strict=True)
        for own_step, (loss, rate) in enumerate(rows, 1):
            found = measures.get(own_step, {})
            measured = {name: value for name, value in found.items() if name != "step"}
            yield {"step": next(count), **which, "loss": loss, "learning_rate": rate, **measured}


def _kept(run: Trainer) -> dict[str, Any]:
    """Which step's weights were kept, as the log counts, where steps were measured."""
    measures = run.advance.measures
    if not measures:
        return {}
    kept, least = best_step(measures), min(map(sum_of, measures))
    log.info(
        "kept step %d of %d: alignment and uniformity %.4f, at the last step %.4f",
        kept,
        run.total,
        least,
        sum_of(measures[-1]),
    )
    return {
        "strings_held_out": len(run.held_out),
        "kept_step": run.earlier_steps + kept,
        "kept_alignment_and_uniformity": least,
        "final_alignment_and_uniformity": sum_of(measures[-1]),
    }
