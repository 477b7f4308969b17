"""Bases with faults that are found before a run, by name; case numbers are those of issue 12."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from mirror.encoders.architectures import ARCHITECTURES
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.encoders.model_config import check_values, known_activations
from mirror.errors import BaseModelError
from tests.fixtures.bases import edit_json, set_keys

WEIGHTS = "model.safetensors"
OUTPUT = "bert.encoder.layer.1.output.dense.weight"
POSITIONS = r"position_embeddings\.weight .* is 64x32, but config\.json says"


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers = null, not a whole number"),
        ({"num_hidden_layers": "two"}, 'num_hidden_layers = "two", not a whole number'),
        ({"vocab_size": "9"}, 'vocab_size = "9", not a whole number'),
        ({"model_type": ["bert"]}, "which cannot be tuned"),
        ({"max_position_embeddings": 10**9}, POSITIONS),
        ({"max_position_embeddings": 40}, POSITIONS),
        ({"hidden_size": 16}, r"is \d+x32, but config\.json says 16"),
        ({"hidden_act": "gleu"}, 'hidden_act = "gleu", which transformers does not have .*gelu'),
        ({"hidden_act": None}, "hidden_act = null, which transformers does not have"),
        ({"num_attention_heads": 5}, "5 attention heads, which do not divide its width, 32"),
        ({"num_attention_heads": 0}, "num_attention_heads = 0, too small"),
        ({"num_attention_heads": True}, "num_attention_heads = true, not a whole number"),
        ({"intermediate_size": -64}, "intermediate_size = -64, too small"),
        ({"hidden_size": 32.0}, r"hidden_size = 32\.0, not a whole number"),
        ({"max_position_embeddings": "64"}, 'max_position_embeddings = "64", not a whole number'),
        ({"type_vocab_size": -1}, "type_vocab_size = -1, too small"),
        (
            {"type_vocab_size": 3},
            r"token_type_embeddings\.weight .* is 2x32, but config\.json says 3",
        ),
        ({"layer_norm_eps": None}, "layer_norm_eps = null, not a fraction"),
        ({"layer_norm_eps": "1e-12"}, 'layer_norm_eps = "1e-12", not a fraction'),
        ({"layer_norm_eps": 0}, "layer_norm_eps = 0, not a fraction"),
        ({"hidden_dropout_prob": None}, "hidden_dropout_prob = null, not a number from 0 to 1"),
        ({"attention_probs_dropout_prob": 10}, "= 10, not a number from 0 to 1"),
        ({"pad_token_id": "0"}, 'pad_token_id = "0", not a whole number'),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "are quantized"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_before_the_run(
    base: Path, change: dict[str, Any], message: str
) -> None:
    set_keys(base / "config.json", **change)
    with pytest.raises(BaseModelError, match=message):
        check_base(base)


def test_the_activations_are_those_that_transformers_has() -> None:
    from transformers.activations import ACT2FN

    assert known_activations() == tuple(ACT2FN)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("distilbert", {"activation": "gleu"}),
        ("modernbert", {"hidden_activation": "gleu"}),
        ("modernbert", {"norm_eps": None}),
        ("eurobert", {"rms_norm_eps": None}),
        ("distilbert", {"dim": 32, "n_heads": 5}),
        ("eurobert", {"hidden_size": 32, "num_attention_heads": 5}),
    ],
    ids=str,
)
def test_values_are_checked_by_the_names_of_each_kind(kind: str, change: dict[str, Any]) -> None:
    path, architecture = Path("config.json"), ARCHITECTURES[kind]
    with pytest.raises(BaseModelError):
        check_values(path, change, architecture)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bert", {"pad_token_id": None, "eos_token_id": [1, 2], "classifier_dropout": None}),
        ("eurobert", {"hidden_size": 32, "num_attention_heads": 5, "head_dim": 8}),
        ("distilbert", {"hidden_act": "gleu", "activation": "relu"}),
        ("deberta-v2", {"type_vocab_size": 0, "max_relative_positions": -1}),
    ],
    ids=str,
)
def test_values_that_a_kind_may_have_pass(kind: str, values: dict[str, Any]) -> None:
    check_values(Path("config.json"), values, ARCHITECTURES[kind])


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
@pytest.mark.case("c5")
def test_a_linear_layer_that_is_not_finite_is_refused_wherever_it_is_read(
    encoder: Path, number: float
) -> None:
    change_weights(encoder / "2_Dense" / WEIGHTS, lambda w: w["linear.weight"].fill_(number))
    for read in (check_base, Encoder.load):
        with pytest.raises(BaseModelError, match=r"2_Dense.* is not finite everywhere"):
            read(encoder)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (3e38, "give vectors that are not numbers, since some of them are too large"),
        (0.0, "give one vector for every token, as weights of zeros do"),
    ],
)
@pytest.mark.case("c5")
def test_finite_weights_without_useful_vectors_are_refused(
    base: Path, number: float, message: str
) -> None:
    def change(weights: dict[str, torch.Tensor]) -> None:
        for name, weight in weights.items():
            if "LayerNorm" in name:
                weight.fill_(number)

    change_weights(base / WEIGHTS, change)
    with pytest.raises(BaseModelError, match=message):
        Encoder.load(base, "mean")


def test_linear_layers_in_another_order_are_refused_before_the_run(encoder: Path) -> None:
    check_base(encoder)
    edit_json(encoder / "modules.json", lambda modules: modules.insert(2, modules.pop(3)))
    with pytest.raises(BaseModelError, match=r"2_Dense .* does not fit vectors of dimension 8"):
        check_base(encoder)


@pytest.mark.parametrize("length", [-1, 1, 2])
def test_a_length_without_room_for_a_text_is_refused_before_the_run(
    encoder: Path, length: int
) -> None:
    set_keys(encoder / "sentence_bert_config.json", max_seq_length=length)
    with pytest.raises(BaseModelError, match=f"a length of {length} tokens, without room"):
        check_base(encoder)


def test_a_default_prompt_that_is_not_there_is_refused(encoder: Path) -> None:
    path = encoder / "config_sentence_transformers.json"
    edit_json(path, lambda config: config.update(default_prompt_name="passage"))
    with pytest.raises(BaseModelError, match="the default prompt 'passage', which is none of its"):
        check_base(encoder)


def test_an_encoder_is_saved_with_padding_after_the_text(base: Path, tmp_path: Path) -> None:
    set_keys(base / "tokenizer_config.json", padding_side="left")
    encoder = Encoder.load(base, "mean")
    encoder.save(tmp_path / "saved")
    texts = ["wagon", "the very old red bridge near the market"]
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(texts)
    assert abs(theirs - encoder.encode(texts)).max() < 1e-5
