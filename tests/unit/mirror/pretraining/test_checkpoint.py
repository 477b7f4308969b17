"""Checkpoints of pretraining: damaged ones, and a full disk."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from transformers import AutoModelForMaskedLM

from mirror.errors import StoreError, TuningError
from mirror.pretraining import checkpoint
from mirror.pretraining.checkpoint import TrainingPosition, load_checkpoint, save_checkpoint
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.export import write_model
from mirror.pretraining.stage import prepare_pieces, pretrain_model
from mirror.pretraining.trainer import PretrainingStep
from mirror.store import Store

FILES = ("weights.safetensors", "moments.safetensors", "state.json")


def trained(steps: int, width: int = 40) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = nn.Linear(width, width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        model(torch.ones(width)).sum().backward()
        optimizer.step()
    return model, optimizer


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Context manager: writing a file beyond `size` bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_model_optimizer_and_position_are_restored_exactly(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    save_checkpoint(tmp_path / "constant", model, optimizer, TrainingPosition(3, 300))
    other, fresh = trained(0)
    assert load_checkpoint(tmp_path / "constant", other, fresh) == TrainingPosition(3, 300)
    assert torch.equal(model.weight, other.weight)
    theirs = fresh.state[other.weight]
    assert all(
        torch.equal(value, theirs[key]) for key, value in optimizer.state[model.weight].items()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["constant"]


def test_load_returns_none_without_a_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "constant", *trained(0)) is None


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", FILES)
def test_the_previous_checkpoint_is_used_if_the_last_is_damaged(tmp_path: Path, name: str) -> None:
    model, optimizer = trained(2)
    save_checkpoint(tmp_path / "constant", *trained(3), TrainingPosition(3, 300))
    save_checkpoint(tmp_path / "constant.old", model, optimizer, TrainingPosition(2, 200))
    truncate(tmp_path / "constant" / name)
    other, fresh = trained(0)
    assert load_checkpoint(tmp_path / "constant", other, fresh) == TrainingPosition(2, 200)
    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["truncated", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_the_error_of_a_single_damaged_checkpoint_names_it(tmp_path: Path, name, damage) -> None:
    save_checkpoint(tmp_path / "constant", *trained(3), TrainingPosition(3, 300))
    damage(tmp_path / "constant" / name)
    model, optimizer = trained(0)
    before = model.weight.clone()
    with pytest.raises(TuningError, match=r"is damaged: remove .*constant, and run again"):
        load_checkpoint(tmp_path / "constant", model, optimizer)
    assert torch.equal(model.weight, before)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "constant", *trained(1), TrainingPosition(1, 100))
    with limited_file_size(4_000), pytest.raises(OSError, match="File too large"):
        save_checkpoint(tmp_path / "constant", *trained(2), TrainingPosition(2, 200))
    assert load_checkpoint(tmp_path / "constant", *trained(0)) == TrainingPosition(1, 100)


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
    save_checkpoint(tmp_path / "constant", *trained(1), TrainingPosition(1, 100))
    assert flushed.index("renamed") == 4
    assert set(flushed[:4]) == {*FILES, "constant.new"}


@pytest.fixture
def settings(tmp_path: Path, sentences: list[str]) -> PretrainingSettings:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": [f"{sentence}." for sentence in sentences]}), path)
    content: dict[str, Any] = {
        "name": "tiny",
        "language": "en",
        "corpus": [str(path)],
        "shape": {
            "vocabulary_size": 400,
            "num_layers": 1,
            "hidden_size": 32,
            "word_vector_epochs": 0,
        },
        "row_lengths": [16],
        "tokens_per_step": 64,
        "sentences_per_step": 2,
        "words_per_step": 2,
        "total_tokens": 64 * 4,
        "num_processes": 1,
    }
    return PretrainingSettings.model_validate(content)


def test_a_full_disk_is_a_store_error(settings: PretrainingSettings, store: Store) -> None:
    with limited_file_size(50_000), pytest.raises(StoreError, match="free some space"):
        prepare_pieces(settings, store)
    pieces = prepare_pieces(settings, store)
    with limited_file_size(50_000), pytest.raises(StoreError, match="free some space"):
        pretrain_model(settings, pieces, store)
    assert pretrain_model(settings, pieces, store).counts["steps"] == 4


def test_a_full_disk_while_the_model_is_written_is_an_os_error(
    settings: PretrainingSettings, store: Store, tmp_path: Path
) -> None:
    pieces = prepare_pieces(settings, store)
    model = AutoModelForMaskedLM.from_pretrained(pieces.path / "start")
    last = PretrainingStep(4, 256, 256, 1.0, 1.0, 1.0, 0.0, 1.0)
    with limited_file_size(20_000), pytest.raises(OSError, match="File too large"):
        write_model(settings, pieces, (model, last), tmp_path / "out")
