from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from mirror.encoders.encoder import Encoder
from mirror.encoders.whitening import fit_whitening
from mirror.errors import TuningError
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning_config import TuningSection


def anisotropic(rows: int = 400, width: int = 8, seed: int = 1) -> np.ndarray:
    """Vectors with a mean far from 0, and variances from 1 to 10,000."""
    draw = np.random.default_rng(seed)
    spread = np.logspace(0, 2, width)
    turn, _ = np.linalg.qr(draw.normal(size=(width, width)))
    return ((draw.normal(size=(rows, width)) * spread) @ turn + 50).astype(np.float32)


def project(vectors: np.ndarray, power: float) -> np.ndarray:
    return fit_whitening(vectors, power)(torch.from_numpy(vectors)).numpy()


def test_the_power_one_half_gives_all_directions_the_same_variance() -> None:
    covariance = np.cov(project(anisotropic(), 0.5), rowvar=False)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(8), atol=1e-3)


def test_the_power_zero_only_centres() -> None:
    vectors = anisotropic()
    np.testing.assert_allclose(project(vectors, 0), vectors - vectors.mean(0), atol=1e-3)


@settings(deadline=None)
@given(power=st.floats(0.01, 0.5), seed=st.integers(0, 1_000))
def test_any_power_centres_and_reduces_differences_of_variance(power: float, seed: int) -> None:
    vectors = anisotropic(seed=seed)
    projected = project(vectors, power)
    before, after = (np.linalg.cond(np.cov(rows, rowvar=False)) for rows in (vectors, projected))
    assert after == pytest.approx(before ** (1 - 2 * power), rel=0.02)
    assert np.abs(projected.mean(0)).max() < 1e-3 * projected.std()


def test_whitening_commutes_with_rotation() -> None:
    vectors = anisotropic()
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))
    turned = project((vectors @ turn).astype(np.float32), 0.25)
    np.testing.assert_allclose(turned, project(vectors, 0.25) @ turn, atol=2e-3)


def test_equal_vectors_are_refused() -> None:
    with pytest.raises(TuningError, match="cannot be whitened"):
        fit_whitening(np.ones((10, 4), dtype=np.float32), 0.25)


def tuned_encoder(base: Path, sentences: list[str], folder: Path, whitening: float) -> Path:
    section = TuningSection(
        temperature=0.04,
        mask_length=5,
        epochs=1,
        max_tokens=20,
        pooling="mean",
        batch_size=16,
        whitening=whitening,
    )
    (folder / "out").mkdir(parents=True)
    tune(section, sentences[:64], TrainingPaths(base, folder / "out", folder / "work"))
    return folder / "out" / "encoder"


def test_sentence_transformers_gives_the_same_whitened_vectors(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    folder = tuned_encoder(tiny_base, sentences, tmp_path, 0.5)
    ours = Encoder.load(folder).encode(sentences[:64])
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences[:64])
    np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())
    assert np.abs(ours.mean(0)).max() < 0.05 * ours.std()


def test_whitening_does_not_change_the_tuned_weights(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    plain = tuned_encoder(tiny_base, sentences, tmp_path / "plain", 0)
    whitened = tuned_encoder(tiny_base, sentences, tmp_path / "whitened", 0.25)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (plain, whitened)]
    assert weights[0] == weights[1]
    assert not (plain / "2_Dense").exists()


def test_whitening_a_whitened_encoder_again_adds_a_layer(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    first = tuned_encoder(tiny_base, sentences, tmp_path / "first", 0.25)
    kept = tuned_encoder(first, sentences, tmp_path / "kept", 0)
    again = tuned_encoder(first, sentences, tmp_path / "again", 0.5)
    assert [len(Encoder.load(folder).head) for folder in (first, kept, again)] == [1, 1, 2]
    assert (kept / "2_Dense" / "model.safetensors").read_bytes() == (
        first / "2_Dense" / "model.safetensors"
    ).read_bytes()
    ours = Encoder.load(again).encode(sentences[:64])
    theirs = SentenceTransformer(str(again), device="cpu").encode(sentences[:64])
    np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())
