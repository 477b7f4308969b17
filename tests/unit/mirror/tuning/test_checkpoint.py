from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from mirror.tuning.checkpoint import TrainingState, restore_checkpoint, save_checkpoint


def trained(steps: int) -> tuple[nn.Module, AdamW]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = AdamW(model.parameters(), lr=0.1, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def test_model_optimizer_and_state_are_restored_exactly(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    save_checkpoint(tmp_path, model, optimizer, TrainingState(3, [1.1, 0.3, 0.1], [0.1] * 3, 2))
    other, fresh = trained(0)
    assert restore_checkpoint(tmp_path, other, fresh) == TrainingState(
        3, [1.1, 0.3, 0.1], [0.1] * 3, 2
    )
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        for key, value in optimizer.state[one].items():
            assert torch.equal(value, fresh.state[two][key]), key


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, *trained(step), TrainingState(step, [0.0] * step, [0.1] * step))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000002"]


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, *trained(2), TrainingState(2, [0.0] * 2, [0.1] * 2))
    damaged = tmp_path / "checkpoint-00000002" / name
    damaged.write_bytes(damaged.read_bytes()[:-9])
    model, optimizer = trained(0)
    before = [parameter.clone() for parameter in model.parameters()]
    assert restore_checkpoint(tmp_path, model, optimizer) == TrainingState()
    assert all(map(torch.equal, before, model.parameters()))
    assert not optimizer.state
