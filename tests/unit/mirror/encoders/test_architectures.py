from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from mirror.encoders.architectures import ARCHITECTURES, Architecture
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.encoders.weight_checks import check_weights
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


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_only_weights_that_transformers_uses_are_let_in(kind: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForMaskedLM

    names = ("dim", "n_layers", "n_heads", "hidden_dim")
    if kind != "distilbert":
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    options: dict[str, object] = dict(zip(names, (16, 2, 2, 32), strict=True))
    if kind == "deberta-v2":
        options |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
        options |= {"conv_kernel_size": 3, "norm_rel_ebd": "layer_norm"}
    config = AutoConfig.for_model(kind, vocab_size=20, pad_token_id=0, **options)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    check = partial(check_weights, tmp_path, config.to_dict(), ARCHITECTURES[kind])
    check()
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    layer = next(name for name in sorted(weights) if ".0." in name)
    for where in (layer.rpartition(".0.")[0] + ".0.attention.self", "embeddings"):
        name = f"{where}.distance_embedding.weight"
        save_file({**weights, name: weights[layer].clone()}, file)
        with pytest.raises(BaseModelError, match=rf"have {name} and 0 more.*does not use"):
            check()
