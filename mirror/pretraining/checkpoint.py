"""Checkpoints of a pretraining run: safetensors and JSON, swapped in whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Place:
    """How far a run has come."""

    step: int = 0
    tokens: int = 0


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, place: Place
) -> None:
    """Writes weights, the optimiser's moments and the place beside `folder`, then swaps them in."""
    new, old = _beside(folder, "new"), _beside(folder, "old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    moments: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        weights[name] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            moments[f"{name}|{key}"] = value.detach().cpu().contiguous()
    save_file(weights, new / "weights.safetensors")
    save_file(moments, new / "moments.safetensors")
    (new / "state.json").write_text(json.dumps(asdict(place)), encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> Place | None:
    """Restores a checkpoint, or the one before it where a kill fell between the two renames.

    Returns:
        Its place, or nothing where there is no checkpoint.
    """
    found = next((f for f in (folder, _beside(folder, "old")) if (f / "state.json").exists()), None)
    if found is None:
        return None
    weights = load_file(found / "weights.safetensors")
    moments = load_file(found / "moments.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
            kept = {
                key.split("|")[1]: value if key.endswith("|step") else value.to(parameter.device)
                for key, value in moments.items()
                if key.startswith(f"{name}|")
            }
            if kept:
                optimizer.state[parameter] = kept
    return Place(**json.loads((found / "state.json").read_text(encoding="utf-8")))


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")
