from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.encoders import load_encoder
from mirror.encoder import Encoder
from mirror.errors import BaseModelError
from mirror.whitening import fit_whitening


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
