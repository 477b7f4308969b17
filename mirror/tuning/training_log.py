"""Training log: one line for each step in `steps.jsonl`, and counts for the stage's record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror.tuning.trainer import Trainer

STEPS = "steps.jsonl"


@dataclass(frozen=True)
class TuningStep:
    """A finished step, as passed to callbacks."""

    step: int
    """Counted from 1."""
    total: int
    loss: float
    learning_rate: float
    strings_per_second: float
    """Mean over this process's steps so far; each string gives two views."""
    seconds_left: float


OnStep = Callable[[TuningStep], None]


def ignore_step(step: TuningStep) -> None:
    """Do nothing; the default callback."""


def write_log(trainer: Trainer, out: Path) -> Mapping[str, Any]:
    """Write `steps.jsonl` to the folder `out` and return the run's counts."""
    import torch

    state = trainer.state
    with (out / STEPS).open("w", encoding="utf-8") as file:
        for step, (loss, rate) in enumerate(
            zip(state.losses, state.learning_rates, strict=True), start=1
        ):
            line = {"step": step, "loss": loss, "learning_rate": rate}
            file.write(json.dumps(line) + "\n")
    return {
        "steps": state.step,
        "strings": len(trainer.items),
        "first_loss": state.losses[0],
        "final_loss": state.losses[-1],
        "masked_share": state.masked / (state.step * trainer.settings.batch_size),
        "precision": "bf16" if trainer.bf16 else "fp32",
        "device": trainer.encoder.device.type,
        "threads": torch.get_num_threads(),
    }
