"""Random baseline: a base's architecture with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mirror.encoders.base_model import base_digest, check_base
from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.random_baseline import random_base
from mirror.store import Store


@pytest.fixture
def base(tiny_base: Path) -> EncoderRef:
    return EncoderRef(str(tiny_base), base_digest(tiny_base), "tiny")


def weights_of(base: EncoderRef) -> dict[str, torch.Tensor]:
    return load_file(Path(base.folder) / "model.safetensors")


def test_the_random_model_has_the_bases_architecture_and_tokenizer(
    base: EncoderRef, store: Store
) -> None:
    random_model = random_base(base, 3, store)
    check_base(Path(random_model.folder))
    ours, theirs = weights_of(random_model), weights_of(base)
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }
    table = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(ours[table], theirs[table])
    vocabulary = (Path(random_model.folder) / "tokenizer.json").read_bytes()
    assert vocabulary == (Path(base.folder) / "tokenizer.json").read_bytes()


def test_equal_seeds_give_equal_weights(base: EncoderRef, store: Store, tmp_path: Path) -> None:
    random_model = random_base(base, 3, store)
    torch.manual_seed(99)  # the state of the generator does not matter
    assert random_base(base, 3, Store(tmp_path / "elsewhere")).digest == random_model.digest
    assert random_base(base, 4, store).digest != random_model.digest


def test_torchs_generator_is_not_changed(base: EncoderRef, store: Store) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    random_base(base, 3, store)
    assert torch.equal(torch.rand(3), expected)


def test_the_index_of_sharded_weights_is_not_copied(
    base: EncoderRef, store: Store, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(base.folder, tmp_path / "parts"))
    (folder / "model.safetensors.index.json").write_text("{}")
    random_model = random_base(EncoderRef(str(folder), base_digest(folder), "parts"), 3, store)
    assert not (Path(random_model.folder) / "model.safetensors.index.json").exists()
