"""Bases with faults that are found before a run, by name; case numbers are those of issue 12."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.errors import BaseModelError

WEIGHTS = "model.safetensors"
OUTPUT = "bert.encoder.layer.1.output.dense.weight"
POSITIONS = r"position_embeddings\.weight .* is 64x32, but config\.json says"


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    """A base to damage."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.fixture
def encoder(tiny_base: Path, tmp_path: Path) -> Path:
    """An encoder with two linear layers, to damage."""
    heads = [Dense(32, 16), Dense(16, 8, bias=False, activation_function=torch.nn.Identity())]
    modules = [Transformer(str(tiny_base)), Pooling(32), *heads]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "encoder"))
    return tmp_path / "encoder"


def change_weights(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def change_json(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers = null, not a number"),
        ({"num_hidden_layers": "two"}, 'num_hidden_layers = "two", not a number'),
        ({"vocab_size": "9"}, 'vocab_size = "9", not a number'),
        ({"model_type": ["bert"]}, "which cannot be tuned"),
        ({"max_position_embeddings": 10**9}, POSITIONS),
        ({"max_position_embeddings": 40}, POSITIONS),
        ({"hidden_size": 16}, r"is \d+x32, but config\.json says 16"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "are quantized"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_before_the_run(
    base: Path, change: dict[str, Any], message: str
) -> None:
    change_json(base / "config.json", lambda config: config.update(change))
    with pytest.raises(BaseModelError, match=message):
        check_base(base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(OUTPUT), f"lack {OUTPUT}, or it has another shape"),
        (
            lambda weights: weights.update({OUTPUT: weights[OUTPUT][:, :9].contiguous()}),
            f"lack {OUTPUT}, or it has another shape",
        ),
        (
            lambda weights: weights.update({OUTPUT: weights[OUTPUT].to(torch.int8)}),
            f"{OUTPUT} .* of type I8, as in quantized weights",
        ),
    ],
    ids=["missing", "other shape", "whole numbers"],
)
def test_weights_that_do_not_fit_are_refused_before_the_run(
    tiny_base: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    from transformers import AutoConfig, AutoModelForMaskedLM

    # With three layers, so that two after the first can be compared.
    config = AutoConfig.from_pretrained(tiny_base, num_hidden_layers=3)
    base = Path(shutil.copytree(tiny_base, tmp_path / "deep"))
    AutoModelForMaskedLM.from_config(config).save_pretrained(base)
    check_base(base)
    change_weights(base / WEIGHTS, change)
    with pytest.raises(BaseModelError, match=message):
        check_base(base)


# c5, in the layers after pooling.
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_linear_layer_that_is_not_finite_is_refused_wherever_it_is_read(
    encoder: Path, number: float
) -> None:
    change_weights(encoder / "2_Dense" / WEIGHTS, lambda w: w["linear.weight"].fill_(number))
    for read in (check_base, Encoder.load):
        with pytest.raises(BaseModelError, match=r"2_Dense.* is not finite everywhere"):
            read(encoder)


def test_linear_layers_in_another_order_are_refused_before_the_run(encoder: Path) -> None:
    check_base(encoder)
    change_json(encoder / "modules.json", lambda modules: modules.insert(2, modules.pop(3)))
    with pytest.raises(BaseModelError, match=r"2_Dense .* does not fit vectors of dimension 8"):
        check_base(encoder)


@pytest.mark.parametrize("length", [-1, 1, 2])
def test_a_length_without_room_for_a_text_is_refused_before_the_run(
    encoder: Path, length: int
) -> None:
    change_json(encoder / "sentence_bert_config.json", lambda c: c.update(max_seq_length=length))
    with pytest.raises(BaseModelError, match=f"a length of {length} tokens, without room"):
        check_base(encoder)


def test_a_default_prompt_that_is_not_there_is_refused(encoder: Path) -> None:
    path = encoder / "config_sentence_transformers.json"
    change_json(path, lambda config: config.update(default_prompt_name="passage"))
    with pytest.raises(BaseModelError, match="the default prompt 'passage', which is none of its"):
        check_base(encoder)


def test_an_encoder_is_saved_with_padding_after_the_text(base: Path, tmp_path: Path) -> None:
    change_json(base / "tokenizer_config.json", lambda config: config.update(padding_side="left"))
    encoder = Encoder.load(base, "mean")
    encoder.save(tmp_path / "saved")
    texts = ["wagon", "the very old red bridge near the market"]
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(texts)
    assert abs(theirs - encoder.encode(texts)).max() < 1e-5
