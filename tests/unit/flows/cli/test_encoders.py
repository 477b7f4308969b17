from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.cli.encoders import load_encoder, load_rival
from mirror.encoders.encoder import Encoder
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.encoders.whitening import fit_whitening
from mirror.errors import BaseModelError


def test_a_whitened_encoder_is_pooled_as_its_last_layer_needs(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    encoder = Encoder.load(tiny_base, "mean")
    encoder.projection = fit_whitening(encoder.encode(sentences[:64]), 0.25)
    encoder.save(tmp_path)
    with pytest.raises(BaseModelError, match="fitted to mean pooling, not to cls"):
        load_encoder(str(tmp_path), "cls")
    vectors = load_encoder(str(tmp_path), "mean").encode(sentences[:3])
    np.testing.assert_allclose(vectors, encoder.encode(sentences[:3]), atol=1e-5)


def test_more_tokens_than_a_model_takes_are_refused(tiny_base: Path) -> None:
    assert load_encoder(str(tiny_base), "mean", 64).settings.max_tokens == 64
    with pytest.raises(BaseModelError, match=r"takes 64 tokens .* not 65: give --max-tokens 64"):
        load_encoder(str(tiny_base), "mean", 65)


def test_a_plain_rival_reads_as_much_as_the_encoder_or_as_it_can(tiny_base: Path) -> None:
    for wanted, read in ((32, 32), (512, 64)):
        rival = load_rival(str(tiny_base), EncoderSettings("mean", wanted), None)
        assert rival.settings.max_tokens == read


def test_a_plain_rival_is_read_with_the_encoders_prompt(tiny_base: Path, tmp_path: Path) -> None:
    Encoder.load(tiny_base, "last", 20, prompt="{text} is one [MASK]").save(tmp_path)
    encoder = load_encoder(str(tmp_path))
    rival = load_rival(str(tiny_base), encoder.settings, None)
    assert rival.settings == encoder.settings
    texts = ["the old mirror", "wagon"]
    np.testing.assert_allclose(rival.encode(texts), encoder.encode(texts), atol=1e-5)
    encoder.save(tmp_path / "again")
    assert load_encoder(str(tmp_path / "again")).settings == encoder.settings
