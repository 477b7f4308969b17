"""The control: a base's shape with weights that know nothing."""

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


def test_it_has_the_bases_shape_and_tokenizer_and_other_weights(
    base: EncoderRef, store: Store
) -> None:
    drawn = random_base(base, 3, store)
    check_base(Path(drawn.folder))
    ours, theirs = weights_of(drawn), weights_of(base)
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }
    table = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(ours[table], theirs[table])
    vocabulary = (Path(drawn.folder) / "tokenizer.json").read_bytes()
    assert vocabulary == (Path(base.folder) / "tokenizer.json").read_bytes()


def test_equal_seeds_give_equal_weights_and_others_do_not(
    base: EncoderRef, store: Store, tmp_path: Path
) -> None:
    drawn = random_base(base, 3, store)
    torch.manual_seed(99)  # what has been drawn before does not matter
    assert random_base(base, 3, Store(tmp_path / "elsewhere")).digest == drawn.digest
    assert random_base(base, 4, store).digest != drawn.digest


def test_drawing_leaves_the_callers_random_numbers_alone(base: EncoderRef, store: Store) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    random_base(base, 3, store)
    assert torch.equal(torch.rand(3), expected)


def test_an_index_of_weights_in_parts_is_not_kept(
    base: EncoderRef, store: Store, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(base.folder, tmp_path / "parts"))
    (folder / "model.safetensors.index.json").write_text("{}")
    drawn = random_base(EncoderRef(str(folder), base_digest(folder), "parts"), 3, store)
    assert not (Path(drawn.folder) / "model.safetensors.index.json").exists()
