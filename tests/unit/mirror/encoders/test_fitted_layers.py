from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from mirror.encoders.encoder import Encoder
from mirror.encoders.fitted_layers import fit_reduction, fit_whitening
from mirror.encoders.head import Normalize, without_last_layer
from mirror.errors import TuningError
from tests.fixtures.tuning import tuned_encoder


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


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def reduce(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    return fit_reduction(vectors, dimensions)(torch.from_numpy(vectors)).numpy()


def test_vectors_that_have_few_dimensions_keep_their_cosines() -> None:
    draw = np.random.default_rng(5)
    flat = (draw.normal(size=(300, 3)) @ draw.normal(size=(3, 8))).astype(np.float32)
    np.testing.assert_allclose(cosines(reduce(flat, 3)), cosines(flat), atol=1e-5)
    with pytest.raises(TuningError, match=r"fewer than 4 dimensions: lower tuning\.dimensions"):
        fit_reduction(flat, 4)


@settings(deadline=None)
@given(dimensions=st.integers(1, 7), seed=st.integers(0, 1_000))
def test_no_other_projection_changes_dot_products_less(dimensions: int, seed: int) -> None:
    vectors = anisotropic(seed=seed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    weight = fit_reduction(vectors, dimensions).weight.numpy()
    np.testing.assert_allclose(weight @ weight.T, np.eye(dimensions), atol=1e-5)
    other, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, dimensions)))

    def error(basis: np.ndarray) -> float:
        return float(np.linalg.norm(unit @ unit.T - (unit @ basis) @ (unit @ basis).T))

    assert error(weight.T) <= error(other) + 1e-4


def test_the_first_dimensions_hold_most_and_have_a_fixed_sign() -> None:
    vectors = anisotropic()
    weight = fit_reduction(vectors, 5).weight.numpy()
    np.testing.assert_allclose(weight[:2], fit_reduction(vectors, 2).weight.numpy(), atol=1e-6)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths = ((unit @ weight.T) ** 2).sum(0)
    assert (np.diff(lengths) <= 1e-4).all()
    assert (weight[np.arange(5), np.abs(weight).argmax(1)] > 0).all()


def test_sentence_transformers_gives_the_same_whitened_vectors(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    folder = tuned_encoder(tiny_base, sentences, tmp_path, whitening=0.5)
    ours = Encoder.load(folder).encode(sentences[:64])
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences[:64])
    np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())
    assert np.abs(ours.mean(0)).max() < 0.05 * ours.std()


def test_whitening_does_not_change_the_tuned_weights(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    plain = tuned_encoder(tiny_base, sentences, tmp_path / "plain", whitening=0)
    whitened = tuned_encoder(tiny_base, sentences, tmp_path / "whitened", whitening=0.25)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (plain, whitened)]
    assert weights[0] == weights[1]
    assert not (plain / "2_Dense").exists()


def test_whitening_a_whitened_encoder_again_adds_a_layer(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    first = tuned_encoder(tiny_base, sentences, tmp_path / "first", whitening=0.25)
    kept = tuned_encoder(first, sentences, tmp_path / "kept", whitening=0)
    again = tuned_encoder(first, sentences, tmp_path / "again", whitening=0.5)
    assert [len(Encoder.load(folder).head) for folder in (first, kept, again)] == [1, 1, 2]
    assert (kept / "2_Dense" / "model.safetensors").read_bytes() == (
        first / "2_Dense" / "model.safetensors"
    ).read_bytes()
    ours = Encoder.load(again).encode(sentences[:64])
    theirs = SentenceTransformer(str(again), device="cpu").encode(sentences[:64])
    np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())


@pytest.mark.parametrize("whitening", [0, 0.25])
def test_sentence_transformers_gives_the_same_vectors_of_fewer_dimensions(
    tiny_base: Path, sentences: list[str], tmp_path: Path, whitening: float
) -> None:
    folder = tuned_encoder(tiny_base, sentences, tmp_path, whitening=whitening, dimensions=8)
    encoder = Encoder.load(folder)
    ours = encoder.encode(sentences[:64])
    assert ours.shape == (64, 8) and encoder.dimension == 8
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences[:64])
    np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())
    encoder.head = without_last_layer(encoder.head)
    assert encoder.encode(sentences[:2]).shape == (2, 32)


def test_a_base_of_as_few_dimensions_keeps_its_own(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    first = tuned_encoder(tiny_base, sentences, tmp_path / "first", whitening=0, dimensions=8)
    again = tuned_encoder(first, sentences, tmp_path / "again", whitening=0, dimensions=8)
    assert [len(Encoder.load(folder).head) for folder in (first, again)] == [1, 1]


def test_a_normalised_encoder_stays_normalised_with_and_without_the_layer(
    tiny_base: Path, sentences: list[str]
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 32)
    encoder.head = torch.nn.Sequential(Normalize())
    encoder.append_layer(fit_reduction(encoder.encode(sentences[:64]), 8))
    lengths = np.linalg.norm(encoder.encode(sentences[:9]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert len(encoder.head) == 3
    assert [type(layer) for layer in without_last_layer(encoder.head)] == [Normalize]
