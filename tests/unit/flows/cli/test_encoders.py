"""Encoders by their name on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.cli.encoders import load_encoder, load_encoder_like
from mirror.encoders.encoder import Encoder
from mirror.encoders.fitted_layers import fit_whitening
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.errors import BaseModelError


@pytest.mark.case("c6")
def test_pooling_must_be_that_of_the_last_layer(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    encoder = Encoder.load(tiny_base, "mean")
    encoder.append_layer(fit_whitening(encoder.encode(sentences[:64]), 0.25))
    encoder.save(tmp_path)
    with pytest.raises(BaseModelError, match="fitted to mean pooling, not to cls"):
        load_encoder(str(tmp_path), "cls")
    vectors = load_encoder(str(tmp_path), "mean").encode(sentences[:3])
    np.testing.assert_allclose(vectors, encoder.encode(sentences[:3]), atol=1e-5)


def test_max_tokens_over_the_models_limit_is_refused(tiny_base: Path) -> None:
    assert load_encoder(str(tiny_base), "mean", 64).settings.max_tokens == 64
    with pytest.raises(BaseModelError, match=r"takes 64 tokens .* not 65: give --max-tokens 64"):
        load_encoder(str(tiny_base), "mean", 65)


def test_a_plain_model_is_truncated_as_the_reference_up_to_its_own_limit(tiny_base: Path) -> None:
    for max_tokens, expected in ((32, 32), (512, 64)):
        other = load_encoder_like(EncoderSettings("mean", max_tokens), str(tiny_base), None)
        assert other.settings.max_tokens == expected


def test_a_plain_model_gets_the_prompt_of_the_reference(tiny_base: Path, tmp_path: Path) -> None:
    Encoder.load(tiny_base, "last", 20, prompt="{text} is one [MASK]").save(tmp_path)
    encoder = load_encoder(str(tmp_path))
    other = load_encoder_like(encoder.settings, str(tiny_base), None)
    assert other.settings == encoder.settings
    texts = ["the old mirror", "wagon"]
    np.testing.assert_allclose(other.encode(texts), encoder.encode(texts), atol=1e-5)
    encoder.save(tmp_path / "again")
    assert load_encoder(str(tmp_path / "again")).settings == encoder.settings
