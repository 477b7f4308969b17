"""Checkpoints of tuning: weights, optimizer state, progress.

Batches, masks and dropout are drawn from seeds and step numbers, so that no state of a random
generator is saved.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import AdamW

from mirror.store import flush

log = logging.getLogger(__name__)

PREFIX = "checkpoint-"
TENSORS, STATE = "tensors.safetensors", "state.json"


@dataclass
class TrainingState:
    """Progress of a run."""

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


def save_checkpoint(work: Path, model: nn.Module, optimizer: AdamW, state: TrainingState) -> None:
    """Write a checkpoint atomically, then remove the older ones."""
    older = _checkpoints(work)
    fresh = work / "checkpoint.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = torch.as_tensor(value).cpu().contiguous()
    save_file(tensors, fresh / TENSORS)
    (fresh / STATE).write_text(json.dumps(vars(state)), encoding="utf-8")
    for path in fresh.iterdir():
        flush(path)
    checkpoint = work / f"{PREFIX}{state.step:08}"
    shutil.rmtree(checkpoint, ignore_errors=True)
    fresh.rename(checkpoint)
    for folder in older:
        if folder != checkpoint:
            shutil.rmtree(folder)


def restore_checkpoint(work: Path, model: nn.Module, optimizer: AdamW) -> TrainingState:
    """Load the newest undamaged checkpoint into model and optimizer.

    Returns:
        The state at the checkpoint; a fresh one if there is no checkpoint.
    """
    for folder in reversed(_checkpoints(work)):
        try:
            tensors = load_file(folder / TENSORS)
            state = TrainingState(**json.loads((folder / STATE).read_text(encoding="utf-8")))
            _load(tensors, model, optimizer)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            log.warning("%s is damaged (%s) and is ignored", folder, error)
            continue
        log.info("resuming from step %d", state.step)
        return state
    return TrainingState()


@torch.no_grad()
def _load(tensors: dict[str, Tensor], model: nn.Module, optimizer: AdamW) -> None:
    parameters = dict(model.named_parameters())
    weights = {name: tensors[f"weight.{name}"] for name in parameters}
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])
        if f"step.{name}" in tensors:
            # copied into storage allocated by torch, aligned as in an uninterrupted run
            optimizer.state[parameter] = {
                "step": tensors[f"step.{name}"].clone(),
                "exp_avg": torch.zeros_like(parameter).copy_(tensors[f"exp_avg.{name}"]),
                "exp_avg_sq": torch.zeros_like(parameter).copy_(tensors[f"exp_avg_sq.{name}"]),
            }


def _checkpoints(work: Path) -> list[Path]:
    return sorted(work.glob(f"{PREFIX}*"))
