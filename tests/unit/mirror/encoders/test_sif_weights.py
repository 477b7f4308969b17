from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from mirror.encoders.encoder import Encoder
from mirror.encoders.sentence_transformers_format import WEIGHTS
from mirror.encoders.sif_weights import (
    SMOOTHING,
    inverse_frequencies,
    read_token_weights,
    write_token_weights,
)
from mirror.encoders.untrusted_code import check_no_code
from mirror.errors import BaseModelError
from tests.fixtures.tuning import short_tuning, tuned_encoder


def test_a_weight_is_that_of_the_paper() -> None:
    weights = inverse_frequencies([[2, 7, 3], [2, 7, 7, 3]], 9)
    assert weights[7] == pytest.approx(SMOOTHING / (SMOOTHING + 3 / 7))
    assert weights[2] == pytest.approx(SMOOTHING / (SMOOTHING + 2 / 7))
    assert weights[8] == 1


@given(st.lists(st.lists(st.integers(0, 19), max_size=9), max_size=9))
def test_more_frequent_tokens_have_lower_weights(rows: list[list[int]]) -> None:
    weights = inverse_frequencies(rows, 20)
    counts = np.bincount(np.array([n for row in rows for n in row], dtype=int), minlength=20)
    assert ((weights > 0) & (weights <= 1)).all()
    for more, less in zip(*np.nonzero(counts[:, None] > counts[None, :]), strict=True):
        assert weights[more] < weights[less]


def test_sentence_transformers_gives_the_same_weighted_vectors(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    for pooling in ("mean", "first-last"):
        folder = tuned_encoder(
            tiny_base,
            sentences,
            tmp_path / pooling,
            pooling=pooling,
            weighting="inverse-frequency",
            whitening=0.25,
        )
        check_no_code(folder)
        loaded = Encoder.load(folder)
        ours = loaded.encode(sentences[:64])
        theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences[:64])
        np.testing.assert_allclose(theirs, ours, atol=1e-3 * np.abs(ours).max())
        loaded.token_weights = None
        assert np.abs(loaded.encode(sentences[:64]) - ours).max() > 0.01 * np.abs(ours).max()


def test_weights_are_fitted_to_the_sample(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    folder = tuned_encoder(tiny_base, sentences, tmp_path, weighting="inverse-frequency")
    encoder = Encoder.load(folder)
    assert encoder.token_weights is not None
    rows = encoder.token_ids(sentences[:64])
    expected = inverse_frequencies(rows, encoder.model.config.vocab_size)
    torch.testing.assert_close(encoder.token_weights, expected)


def test_weights_are_used_while_tuning(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    files = [
        (tuned_encoder(tiny_base, sentences, tmp_path / name, weighting=name) / "model.safetensors")
        for name in ("equal", "inverse-frequency")
    ]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert not (files[0].parent / WEIGHTS).exists()


def test_tuning_a_weighted_encoder_again_keeps_its_weights(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    first = tuned_encoder(tiny_base, sentences, tmp_path / "a", weighting="inverse-frequency")
    again = tuned_encoder(first, sentences, tmp_path / "b")
    assert (again / WEIGHTS / "config.json").read_bytes() == (
        first / WEIGHTS / "config.json"
    ).read_bytes()


def test_a_pooling_without_a_mean_ignores_the_weights(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    folder = tuned_encoder(tiny_base, sentences, tmp_path, weighting="inverse-frequency")
    assert Encoder.load(folder, "cls").token_weights is None


@pytest.mark.parametrize("pooling", ["cls", "mean-with-padding", "last"])
def test_weights_without_a_mean_over_tokens_are_refused(pooling: str) -> None:
    prompt = "{text} means [MASK]" if pooling == "last" else None
    with pytest.raises(ValueError, match="weighting"):
        short_tuning(pooling=pooling, weighting="inverse-frequency", prompt=prompt)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    write_token_weights(tmp_path, torch.ones(4), {"a": 0, "b": 1, "c": 2})
    torch.testing.assert_close(read_token_weights(tmp_path, 4), torch.ones(4))
    with pytest.raises(BaseModelError, match="do not fit a vocabulary of 5"):
        read_token_weights(tmp_path, 5)
    path = tmp_path / WEIGHTS / "config.json"
    content = json.loads(path.read_text())
    content["word_weights"]["b"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(BaseModelError, match="not all above 0"):
        read_token_weights(tmp_path, 4)
    path.write_text("{}")
    with pytest.raises(BaseModelError, match="cannot be read"):
        read_token_weights(tmp_path, 4)
