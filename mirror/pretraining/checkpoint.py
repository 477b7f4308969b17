"""Checkpoints of pretraining: safetensors and JSON, replaced atomically.

Unlike those of tuning, a checkpoint has a fixed name and keeps its predecessor until the next one
is written: a run may take days, and a damaged checkpoint must not cost all of it.
"""

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

from mirror.errors import TuningError
from mirror.store import flush, safetensors_errors_as_os_errors

log = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingPosition:
    """Steps and tokens done."""

    step: int = 0
    tokens: int = 0


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: TrainingPosition
) -> None:
    """Write weights, optimizer state and position to a new folder, then rename it.

    Raises:
        OSError: the files cannot be written; the previous checkpoint remains.
    """
    new, old = _sibling(folder, "new"), _sibling(folder, "old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    moments: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        weights[name] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            moments[f"{name}|{key}"] = value.detach().cpu().contiguous()
    with safetensors_errors_as_os_errors():
        save_file(weights, new / "weights.safetensors")
        save_file(moments, new / "moments.safetensors")
    (new / "state.json").write_text(json.dumps(asdict(position)), encoding="utf-8")
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
    """Restore a checkpoint, or its predecessor if it is damaged or missing.

    Returns:
        Its position, or None without a checkpoint.

    Raises:
        TuningError: all checkpoints are damaged.
    """
    damaged = []
    for candidate in (folder, _sibling(folder, "old")):
        if not candidate.is_dir():
            continue
        try:
            weights, moments, position = _read(candidate, model)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            log.warning("%s is damaged (%s) and ignored", candidate, error)
            damaged.append(candidate)
            continue
        _restore(weights, moments, model, optimizer)
        return position
    if damaged:
        raise TuningError(
            f"the checkpoint in {folder} is damaged: remove "
            f"{' and '.join(str(path) for path in damaged)}, and run again from an earlier one"
        )
    return None


def _read(folder: Path, model: nn.Module) -> tuple[Tensors, Tensors, TrainingPosition]:
    position = TrainingPosition(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
    weights = load_file(folder / "weights.safetensors")
    moments = load_file(folder / "moments.safetensors")
    for name, parameter in model.named_parameters():
        if weights[name].shape != parameter.shape:
            raise ValueError(f"{name} has another shape")
    return weights, moments, position


@torch.no_grad()
def _restore(
    weights: Tensors, moments: Tensors, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
        state = {
            key.split("|")[1]: value if key.endswith("|step") else value.to(parameter.device)
            for key, value in moments.items()
            if key.startswith(f"{name}|")
        }
        if state:
            optimizer.state[parameter] = state


def _sibling(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")
