"""Training log: progress of a run, `steps.jsonl`, and counts for the stage's record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.encoder_ref import FULL_DIMENSION

if TYPE_CHECKING:
    from mirror.tuning.merging import Candidate
    from mirror.tuning.trainer import Trainer

STEPS = "steps.jsonl"
VALIDATION = "validation.json"


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


@dataclass
class TrainingState:
    """Progress of a run, as in its checkpoints."""

    step: int = 0
    """Steps done."""
    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    masked: int = 0
    """Views that were changed by masking, after truncation."""
    full: int = 0
    """Views that fill all tokens that tuning reads."""
    validations: list[dict[str, float]] = field(default_factory=list)
    """Scores and step of each validation so far."""

    @property
    def best_validation(self) -> dict[str, float]:
        """The validation with the highest mean; of equal ones the last."""
        return max(self.validations, key=lambda each: (each["mean"], each["step"]))

    @property
    def best_scores(self) -> dict[str, float]:
        """The scores of `best_validation`."""
        return {name: score for name, score in self.best_validation.items() if name != "step"}


class StepClock:
    """Times of a run's steps and of its last checkpoint."""

    def __init__(self, first_step: int) -> None:
        self._first_step = first_step
        self._started = self._saved = time.monotonic()

    def step_seconds(self, step: int) -> float:
        """Return the mean time of this process's steps so far, validations included."""
        return (time.monotonic() - self._started) / (step - self._first_step)

    @property
    def since_save(self) -> float:
        """Seconds since the last checkpoint."""
        return time.monotonic() - self._saved

    def restart_save(self) -> None:
        """Count from now to the next checkpoint."""
        self._saved = time.monotonic()


def write_log(trainer: Trainer, candidates: Sequence[Candidate], out: Path) -> Mapping[str, Any]:
    """Write `steps.jsonl`, and with validation `validation.json`; return the run's counts.

    Args:
        trainer: has done its steps.
        candidates: merges that were scored, the chosen one first.
        out: the folder to write to.
    """
    import torch

    state = trainer.state
    with (out / STEPS).open("w", encoding="utf-8") as file:
        for step, (loss, rate) in enumerate(
            zip(state.losses, state.learning_rates, strict=True), start=1
        ):
            line = {"step": step, "loss": loss, "learning_rate": rate}
            file.write(json.dumps(line) + "\n")
    counts: dict[str, Any] = {
        "steps": state.step,
        "strings": len(trainer.items),
        "first_loss": state.losses[0],
        "final_loss": state.losses[-1],
        "masked_share": state.masked / (state.step * trainer.settings.batch_size),
        "full_share": state.full / (state.step * trainer.settings.batch_size),
        "precision": "bf16" if trainer.bf16 else "fp32",
        "device": trainer.encoder.device.type,
        "threads": torch.get_num_threads(),
        **({FULL_DIMENSION: trainer.full_dimension} if trainer.full_dimension else {}),
    }
    if trainer.validation is not None:
        chosen = candidates[0]
        log = {"steps": state.validations, "merges": [asdict(each) for each in candidates]}
        (out / VALIDATION).write_text(json.dumps(log, indent=1), encoding="utf-8")
        counts |= {
            "validation_documents": trainer.validation.documents,
            "validation_score": chosen.scores["mean"],
            "best_step": int(state.best_validation["step"]),
            "tuned_share": chosen.share,
        }
    return counts
