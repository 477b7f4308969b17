"""Layers after pooling that were read, tuned with, and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from mirror.encoders.encoder import Encoder
from mirror.errors import BaseModelError
from tests.fixtures.tuning import tuned_encoder

SaveEncoder = Callable[..., Path]
TEXTS = ["the baker sells a mirror", "wagon", "a very old red bridge near the market " * 3]
HEADS = {
    "normalised": lambda: [Normalize()],
    "wider, tanh": lambda: [Dense(32, 48)],
    "narrower, linear, normalised": lambda: [
        Dense(32, 8, activation_function=nn.Identity()),
        Normalize(),
    ],
    "two layers": lambda: [
        Dense(32, 64, activation_function=nn.GELU()),
        Dense(64, 16, bias=False, activation_function=nn.ReLU()),
    ],
    "residual": lambda: [Dense(32, 32, use_residual=True), Dense(32, 16, use_residual=True)],
}


def their_vectors(folder: Path) -> np.ndarray:
    return np.asarray(SentenceTransformer(str(folder), device="cpu").encode(TEXTS))


@pytest.mark.parametrize("head", HEADS)
def test_vectors_are_those_of_sentence_transformers_before_and_after_tuning(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path, head: str
) -> None:
    torch.manual_seed(5)
    base = save_encoder(*HEADS[head]())
    ours = Encoder.load(base).encode(TEXTS)
    np.testing.assert_allclose(ours, their_vectors(base), atol=1e-5)
    encoder = tuned_encoder(base, sentences, tmp_path)
    after = Encoder.load(encoder).encode(TEXTS)
    np.testing.assert_allclose(after, their_vectors(encoder), atol=1e-5)
    assert after.shape == ours.shape
    assert np.abs(after - ours).max() > 1e-3
    Encoder.load(encoder).save(tmp_path / "again")
    np.testing.assert_array_equal(Encoder.load(tmp_path / "again").encode(TEXTS), after)


def test_tuning_leaves_the_layers_as_they_are(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path
) -> None:
    base = save_encoder(Dense(32, 8))
    encoder = tuned_encoder(base, sentences, tmp_path)
    for before, after in zip(Encoder.load(base).head, Encoder.load(encoder).head, strict=True):
        torch.testing.assert_close(before.state_dict(), after.state_dict(), rtol=0, atol=0)


def test_a_normalised_base_stays_normalised_with_whitening(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path
) -> None:
    encoder = tuned_encoder(save_encoder(Normalize()), sentences, tmp_path, whitening=0.25)
    assert [type(layer).__name__ for layer in Encoder.load(encoder).head] == [
        "Normalize",
        "Dense",
        "Normalize",
    ]
    theirs = their_vectors(encoder)
    np.testing.assert_allclose(np.linalg.norm(theirs, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(Encoder.load(encoder).encode(TEXTS), theirs, atol=1e-5)


def test_another_pooling_than_that_of_a_linear_layer_is_refused(
    save_encoder: SaveEncoder,
) -> None:
    folder = save_encoder(Dense(32, 8))
    with pytest.raises(BaseModelError, match="fitted to mean pooling, not to cls"):
        Encoder.load(folder, "cls")
    assert Encoder.load(save_encoder(Normalize()), "cls").settings.is_normalised


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"broken", "is damaged"),
        ("model.safetensors", None, "has no model.safetensors, and pickled weights are not read"),
        ("config.json", b'{"in_features": 32, "out_features": 9}', "does not fit its config.json"),
        ("config.json", b"{", "cannot be read"),
    ],
)
def test_a_damaged_layer_is_refused(
    save_encoder: SaveEncoder, file: str, content: bytes | None, message: str
) -> None:
    folder = save_encoder(Dense(32, 8))
    path = folder / "2_Dense" / file
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(BaseModelError, match=message):
        Encoder.load(folder)


def test_a_layer_of_another_width_is_refused(save_encoder: SaveEncoder) -> None:
    with pytest.raises(BaseModelError, match="does not fit vectors of dimension 32"):
        Encoder.load(save_encoder(Dense(40, 8)))
