from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mirror.encoders.architectures import ARCHITECTURES, Architecture
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.errors import BaseModelError


def test_an_architecture_is_added_by_one_entry(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentences: list[str]
) -> None:
    from transformers import AutoTokenizer, ErnieConfig, ErnieForMaskedLM

    base = Path(shutil.copytree(tiny_base, tmp_path / "ernie"))
    vocab_size = len(AutoTokenizer.from_pretrained(tiny_base))
    config = ErnieConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    ErnieForMaskedLM(config).save_pretrained(base)
    with pytest.raises(BaseModelError, match="'ernie', which cannot be tuned"):
        check_base(base)
    monkeypatch.setitem(ARCHITECTURES, "ernie", Architecture(has_pooler=True))
    check_base(base)
    encoder = Encoder.load(base, "cls", 20)
    encoder.save(tmp_path / "saved")
    vectors = encoder.encode(sentences[:5])
    assert vectors.shape == (5, 16)
    assert np.array_equal(Encoder.load(tmp_path / "saved").encode(sentences[:5]), vectors)
