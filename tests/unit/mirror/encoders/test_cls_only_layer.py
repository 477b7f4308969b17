from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from mirror.encoders.architectures import ARCHITECTURES
from mirror.encoders.cls_only_layer import compute_cls_only
from mirror.encoders.encoder import MAX_PADDING, Encoder
from mirror.tuning.drophead import attach_drophead
from tests.fixtures.encoders import pooled_vectors

TEXTS = ["the baker sells a mirror", "wagon", "", "a very old red bridge near the market " * 3]


def plain_model(base: Path) -> Any:
    kind = json.loads((base / "config.json").read_text())["model_type"]
    options = {"add_pooling_layer": False} if ARCHITECTURES[kind].has_pooler else {}
    return AutoModel.from_pretrained(base, **options)


@pytest.mark.parametrize("padding", [0, 10_000])
def test_vectors_and_gradients_are_those_of_the_whole_last_layer(
    any_base: Path, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_PADDING, "cpu", padding)
    encoder, plain = Encoder.load(any_base, "cls", dropout=0.0, device="cpu"), plain_model(any_base)
    weights = torch.randn(len(TEXTS), encoder.dimension, generator=torch.Generator().manual_seed(1))
    inputs = encoder.tokenizer(TEXTS, padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    expected = plain(**inputs).last_hidden_state[:, 0]
    vectors = pooled_vectors(encoder, encoder.token_ids(TEXTS), seed=3)
    torch.testing.assert_close(vectors, expected, atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.detach(), atol=2e-5)
    (expected * weights).sum().backward()
    (vectors * weights).sum().backward()
    assert max(weight.grad.abs().max() for weight in plain.parameters()) > 0.1
    for (name, ours), theirs in zip(
        encoder.model.named_parameters(), plain.parameters(), strict=True
    ):
        scale = theirs.grad.abs().max().item()
        torch.testing.assert_close(
            ours.grad, theirs.grad, atol=1e-4 + 1e-4 * scale, rtol=0, msg=name
        )


def test_the_last_layer_is_computed_only_for_the_class_token(any_base: Path) -> None:
    kind = ARCHITECTURES[json.loads((any_base / "config.json").read_text())["model_type"]]
    for pooling, tokens in (("cls", 1 if kind.cls_only else 6), ("mean", 6)):
        model = Encoder.load(any_base, pooling, device="cpu").model  # type: ignore[arg-type]
        hidden = model(torch.arange(6, 18).view(2, 6)).last_hidden_state
        assert hidden.shape == (2, tokens, 32)


def test_every_dropout_and_drophead_act_in_the_last_layer(any_base: Path) -> None:
    kind = ARCHITECTURES[json.loads((any_base / "config.json").read_text())["model_type"]]
    for name in (*kind.dropouts, "drophead"):
        if name == "embedding_dropout":
            continue
        encoder = Encoder.load(any_base, "cls", dropout=0.0, device="cpu")
        if name != "drophead":
            config = AutoConfig.from_pretrained(any_base)
            setattr(config, name, 0.5)
            encoder.model = type(encoder.model)(config).eval()
            compute_cls_only(encoder.model)
        handles = attach_drophead(encoder.model, 0.5 if name == "drophead" else 0.0)
        for handle in handles[:-1]:
            handle.remove()
        layers = next(m for m in encoder.model.modules() if isinstance(m, nn.ModuleList))
        layers[-1].train()
        rows = encoder.token_ids(TEXTS)
        first, second = pooled_vectors(encoder, rows, seed=1), pooled_vectors(encoder, rows, seed=2)
        assert not torch.equal(first, second), name
