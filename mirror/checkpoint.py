"""Checkpoints of training: weights, optimizer state, progress; safetensors and JSON.

Batches, masks and dropout are drawn from seeds and step numbers, so that no state of a random
generator is saved.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import AdamW

from mirror.store import flush, safetensors_errors_as_os_errors

log = logging.getLogger(__name__)

TENSORS, STATE = "tensors.safetensors", "state.json"


class Progress(Protocol):
    """Progress of a run: a dataclass whose fields JSON can hold."""

    @property
    def step(self) -> int:
        """Steps done."""
        ...


ProgressT = TypeVar("ProgressT", bound=Progress)


def save_checkpoint(folder: Path, model: nn.Module, optimizer: AdamW, progress: Progress) -> None:
    """Write a checkpoint into a folder of checkpoints atomically, then remove the older ones.

    Raises:
        OSError: the files cannot be written; the previous checkpoint remains.
    """
    older = find_checkpoints(folder)
    fresh = folder / "checkpoint.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = torch.as_tensor(value).cpu().contiguous()
    with safetensors_errors_as_os_errors():
        save_file(tensors, fresh / TENSORS)
    (fresh / STATE).write_text(json.dumps(vars(progress)), encoding="utf-8")
    for path in (*fresh.iterdir(), fresh):
        flush(path)
    checkpoint = folder / f"checkpoint-{progress.step:08}"
    shutil.rmtree(checkpoint, ignore_errors=True)
    fresh.rename(checkpoint)
    flush(folder)
    for path in older:
        if path != checkpoint:
            shutil.rmtree(path)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: AdamW, kind: type[ProgressT]
) -> ProgressT | None:
    """Load the newest undamaged checkpoint of a folder into model and optimizer.

    Returns:
        Its progress, of the class `kind`; None, with nothing changed, if there is no such
        checkpoint.
    """
    for path in reversed(find_checkpoints(folder)):
        try:
            tensors = load_file(path / TENSORS)
            progress = kind(**json.loads((path / STATE).read_text(encoding="utf-8")))
            _restore(tensors, model, optimizer)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            log.warning("%s is damaged (%s) and is ignored", path, error)
            continue
        log.info("resuming from step %d", progress.step)
        return progress
    return None


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest last."""
    return sorted(folder.glob("checkpoint-*"))


@torch.no_grad()
def _restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: AdamW) -> None:
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
