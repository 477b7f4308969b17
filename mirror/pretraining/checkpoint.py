"""Checkpoints of a pretraining run: safetensors and JSON, swapped in whole."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mirror.disk_faults import disk_faults
from mirror.errors import TuningError
from mirror.store import flush

log = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingPosition:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, place: TrainingPosition
) -> None:
    """Writes weights, the optimiser's moments and the place beside `folder`, then swaps them in.

    Raises:
        OSError: they cannot be written; the checkpoint before is still there.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    moments: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        weights[name] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            moments[f"{name}|{key}"] = value.detach().cpu().contiguous()
    with disk_faults():
        save_file(weights, new / "weights.safetensors")
        save_file(moments, new / "moments.safetensors")
    (new / "state.json").write_text(json.dumps(asdict(place)), encoding="utf-8")
    for path in (*new.iterdir(), new):
        flush(path)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingPosition | None:
    """Restores a checkpoint, or the one before it where that is damaged or gone.

    Returns:
        Its place, or nothing where there is no checkpoint.

    Raises:
        TuningError: there are checkpoints, and all are damaged.
    """
    damaged = []
    for found in (folder, _beside(folder, "old")):
        if not found.is_dir():
            continue
        try:
            weights, moments, place = _read(found, model)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            log.warning("%s is damaged (%s) and left aside", found, error)
            damaged.append(found)
            continue
        _restore(weights, moments, model, optimizer)
        return place
    if damaged:
        raise TuningError(
            f"the checkpoint in {folder} is damaged: remove "
            f"{' and '.join(str(place) for place in damaged)}, and run again from what is left"
        )
    return None


def _read(folder: Path, model: nn.Module) -> tuple[Tensors, Tensors, TrainingPosition]:
    place = TrainingPosition(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
    weights = load_file(folder / "weights.safetensors")
    moments = load_file(folder / "moments.safetensors")
    for name, parameter in model.named_parameters():
        if weights[name].shape != parameter.shape:
            raise ValueError(f"{name} has another shape")
    return weights, moments, place


@torch.no_grad()
def _restore(
    weights: Tensors, moments: Tensors, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
        kept = {
            key.split("|")[1]: value if key.endswith("|step") else value.to(parameter.device)
            for key, value in moments.items()
            if key.startswith(f"{name}|")
        }
        if kept:
            optimizer.state[parameter] = kept


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")
