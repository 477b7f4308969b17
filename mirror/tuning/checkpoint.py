"""Checkpoints of tuning: everything that a killed run needs to end with the same weights.

Batches, masks and dropout are drawn from seeds and step numbers alone, so that no state of a
random generator has to be kept.
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


@dataclass
class TrainingState:
    """How far a run has come."""

    step: int = 0
    """Steps done."""
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    masked: int = 0
    """Views that hold a mask token after cutting to length."""
    measures: list[dict[str, float]] = field(default_factory=list)
    """Of each step that was measured on what is held out: step, alignment, uniformity."""


BestWeights = dict[str, Tensor]
"""The weights of the best step so far, by name, on the CPU."""


def save_checkpoint(
    work: Path,
    model: nn.Module,
    optimizer: AdamW,
    advance: TrainingState,
    kept: BestWeights | None = None,
) -> None:
    """Writes a checkpoint whole or not at all, then removes the older ones."""
    older = _checkpoints(work)
    fresh = work / "checkpoint.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    tensors = {f"kept.{name}": weight for name, weight in (kept or {}).items()}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = torch.as_tensor(value).cpu().contiguous()
    save_file(tensors, fresh / "state.safetensors")
    (fresh / "advance.json").write_text(json.dumps(vars(advance)), encoding="utf-8")
    for path in fresh.iterdir():
        flush(path)
    place = work / f"{PREFIX}{advance.step:08}"
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)
    for folder in older:
        if folder != place:
            shutil.rmtree(folder)


def restore_checkpoint(
    work: Path, model: nn.Module, optimizer: AdamW, kept: BestWeights | None = None
) -> TrainingState:
    """Puts the newest whole checkpoint into model, optimizer and `kept`.

    A fresh start if there is none.
    """
    for folder in reversed(_checkpoints(work)):
        try:
            tensors = load_file(folder / "state.safetensors")
            advance = TrainingState(
                **json.loads((folder / "advance.json").read_text(encoding="utf-8"))
            )
            _restore(tensors, model, optimizer)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            log.warning("%s is damaged (%s) and left aside", folder, error)
            continue
        if kept is not None:
            names = (name for name in tensors if name.startswith("kept."))
            kept.update({name.removeprefix("kept."): tensors[name] for name in names})
        log.info("going on from step %d", advance.step)
        return advance
    return TrainingState()


@torch.no_grad()
def _restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: AdamW) -> None:
    parameters = dict(model.named_parameters())
    weights = {name: tensors[f"weight.{name}"] for name in parameters}
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])
        if f"step.{name}" in tensors:
            # copied into storage of torch's own, aligned as in a run that was not killed
            optimizer.state[parameter] = {
                "step": tensors[f"step.{name}"].clone(),
                "exp_avg": torch.zeros_like(parameter).copy_(tensors[f"exp_avg.{name}"]),
                "exp_avg_sq": torch.zeros_like(parameter).copy_(tensors[f"exp_avg_sq.{name}"]),
            }


def _checkpoints(work: Path) -> list[Path]:
    return sorted(work.glob(f"{PREFIX}*"))
