from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from mirror import checkpoint
from mirror.checkpoint import TENSORS, load_checkpoint, save_checkpoint
from tests.fixtures.full_disk import limited_file_size

FILES = (TENSORS, "state.json")


@dataclass
class Steps:
    step: int
    losses: list[float]


def progress(step: int) -> Steps:
    return Steps(step, [0.1] * step)


def trained(steps: int, width: int = 3) -> tuple[nn.Module, AdamW]:
    torch.manual_seed(0)
    model = nn.Linear(width, width)
    optimizer = AdamW(model.parameters(), lr=0.1, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, width)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def test_model_optimizer_and_progress_are_restored_exactly(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    save_checkpoint(tmp_path / "run", model, optimizer, progress(3))
    other, fresh = trained(0)
    assert load_checkpoint(tmp_path / "run", other, fresh, Steps) == progress(3)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        for key, value in optimizer.state[one].items():
            assert torch.equal(value, fresh.state[two][key]), key


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, *trained(step), progress(step))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000002"]


def test_without_a_checkpoint_there_is_no_progress(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent", *trained(0), Steps) is None


@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["truncated", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_ignored(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    save_checkpoint(tmp_path, *trained(2), progress(2))
    damage(tmp_path / "checkpoint-00000002" / name)
    model, optimizer = trained(0)
    before = [parameter.clone() for parameter in model.parameters()]
    assert load_checkpoint(tmp_path, model, optimizer, Steps) is None
    assert all(map(torch.equal, before, model.parameters()))
    assert not optimizer.state


def test_the_previous_checkpoint_is_used_if_the_last_is_damaged(tmp_path: Path) -> None:
    model, optimizer = trained(2)
    save_checkpoint(tmp_path / "other", model, optimizer, progress(2))
    save_checkpoint(tmp_path, *trained(3), progress(3))
    (tmp_path / "other" / "checkpoint-00000002").rename(tmp_path / "checkpoint-00000002")
    truncate(tmp_path / "checkpoint-00000003" / TENSORS)
    other, fresh = trained(0)
    assert load_checkpoint(tmp_path, other, fresh, Steps) == progress(2)
    assert torch.equal(model.weight, other.weight)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *trained(1, width=40), progress(1))
    with limited_file_size(4_000), pytest.raises(OSError, match="File too large"):
        save_checkpoint(tmp_path, *trained(2, width=40), progress(2))
    assert load_checkpoint(tmp_path, *trained(0, width=40), Steps) == progress(1)


def test_files_are_flushed_before_the_folder_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    rename = Path.rename

    def record_rename(path: Path, target: Path) -> Path:
        flushed.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(checkpoint, "flush", lambda path: flushed.append(path.name))
    monkeypatch.setattr(Path, "rename", record_rename)
    save_checkpoint(tmp_path, *trained(1), progress(1))
    assert {*flushed[:3]} == {*FILES, "checkpoint.new"}
    assert flushed[3:] == ["renamed", tmp_path.name]
