"""Encoders' folders that sentence-transformers saved: read as it reads them, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
)
from torch import nn

from mirror.encoders.base_model import check_base
from mirror.encoders.base_settings import check_base_for
from mirror.encoders.encoder import Encoder
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.errors import BaseModelError, RecipeError, TokenizerError
from mirror.export.onnx import export_onnx
from tests.fixtures.bases import set_keys
from tests.fixtures.recipes import make_recipe
from tests.fixtures.tuning import tuned_encoder

SaveEncoder = Callable[..., Path]
TEXTS = ["The baker sells a mirror", "wagon", "", "a very old red bridge near the market " * 9]


def check_equal_vectors(folder: Path) -> Encoder:
    encoder = Encoder.load(folder)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), theirs, atol=1e-5)
    return encoder


@pytest.mark.parametrize("mode", ["cls", "mean", "lasttoken"])
def test_the_compact_form_is_read(save_encoder: SaveEncoder, mode: str) -> None:
    folder = save_encoder(Normalize(), pooling=mode)
    assert "pooling_mode" in json.loads((folder / "1_Pooling" / "config.json").read_text())
    check_base(folder)
    check_equal_vectors(folder)


def test_a_dropout_module_changes_nothing(save_encoder: SaveEncoder) -> None:
    assert len(check_equal_vectors(save_encoder(Dropout(0.5))).head) == 0


def test_the_length_is_that_of_the_tokenizer_if_no_other_is_given(
    save_encoder: SaveEncoder,
) -> None:
    folder = save_encoder(max_seq_length=12)
    assert "max_seq_length" not in json.loads((folder / "sentence_bert_config.json").read_text())
    assert check_equal_vectors(folder).settings.max_tokens == 12
    set_keys(folder / "sentence_bert_config.json", max_seq_length=9)
    assert check_equal_vectors(folder).settings.max_tokens == 9
    set_keys(folder / "sentence_bert_config.json", tokenizer_args={"model_max_length": 7})
    assert check_equal_vectors(folder).settings.max_tokens == 7


@pytest.mark.case("c8")
def test_lower_case_is_followed_and_saved(
    save_encoder: SaveEncoder, cased_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    folder = save_encoder(base=cased_base)
    plain = Encoder.load(folder).encode(TEXTS)
    set_keys(folder / "sentence_bert_config.json", do_lower_case=True)
    assert np.abs(check_equal_vectors(folder).encode(TEXTS) - plain).max() > 1e-3
    check_equal_vectors(tuned_encoder(folder, sentences, tmp_path))


@pytest.mark.parametrize("masking", ["characters", "word-pieces"])
@pytest.mark.case("c8")
def test_a_default_prompt_is_put_before_each_text_and_saved(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path, masking: str
) -> None:
    prompts = {"query": "the red ", "document": "one old "}
    folder = save_encoder(prompts=prompts, default_prompt_name="query")
    assert check_equal_vectors(folder).settings.prefix == "the red "
    encoder = check_equal_vectors(tuned_encoder(folder, sentences, tmp_path, masking=masking))
    assert encoder.settings.prompts == prompts
    assert encoder.prefix_tokens == 2


def test_prompts_without_a_default_change_nothing(save_encoder: SaveEncoder) -> None:
    assert check_equal_vectors(save_encoder(prompts={"query": "the red "})).settings.prefix == ""


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([LayerNorm(32)], r"the module LayerNorm \(2_LayerNorm\)"),
        ([Dense(32, 8, activation_function=nn.Hardtanh())], "the activation .*Hardtanh in 2_Dense"),
        ([Dense(32, 8, module_output_name="other")], "not for whole texts"),
    ],
)
@pytest.mark.case("c8")
def test_modules_that_cannot_be_followed_are_refused_by_name(
    save_encoder: SaveEncoder, modules: list[Any], message: str
) -> None:
    folder = save_encoder(*modules)
    for check in (check_base, Encoder.load):
        with pytest.raises(BaseModelError, match=message):
            check(folder)


def test_modules_before_pooling_are_refused_by_name(save_encoder: SaveEncoder) -> None:
    with pytest.raises(BaseModelError, match=r"the module CNN \(1_CNN\) before pooling"):
        check_base(save_encoder(before=[CNN(32, 32)]))


@pytest.mark.parametrize("mode", ["max", "mean_sqrt_len_tokens", "weightedmean", ("cls", "mean")])
def test_other_poolings_are_refused_by_name(save_encoder: SaveEncoder, mode: Any) -> None:
    names = ", ".join(mode) if isinstance(mode, tuple) else mode
    with pytest.raises(BaseModelError, match=f"pools by {names}: only one of cls, mean, last"):
        check_base(save_encoder(pooling=mode))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "truncate_dim = 0"),
        ("config_sentence_transformers.json", {"truncate_dim": "8"}, "truncate_dim = .8"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task"),
        ("sentence_bert_config.json", {"model_args": {"num_labels": 2}}, "model_args"),
        ("sentence_bert_config.json", {"tokenizer_args": {"x": 1}}, "tokenizer's setting x"),
    ],
)
@pytest.mark.case("c8")
def test_settings_that_cannot_be_followed_are_refused_by_name(
    save_encoder: SaveEncoder, file: str, changes: dict[str, Any], message: str
) -> None:
    folder = save_encoder()
    set_keys(folder / file, **changes)
    with pytest.raises(BaseModelError, match=message):
        read_encoder_settings(folder)


def leave_prompt_out(folder: Path) -> Path:
    set_keys(folder / "1_Pooling" / "config.json", include_prompt=False)
    return folder


def test_a_prompt_that_is_left_out_of_the_mean_is_left_out_and_saved_so(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    options: dict[str, Any] = {"prompts": {"query": "the red "}, "default_prompt_name": "query"}
    pooled = Encoder.load(save_encoder(**options)).encode(TEXTS)
    folder = leave_prompt_out(save_encoder(Normalize(), **options))
    check_base(folder)
    encoder = check_equal_vectors(folder)
    assert np.abs(encoder.encode(TEXTS) - pooled).max() > 0.01
    new = tuned_encoder(folder, sentences, tmp_path)
    encoder = check_equal_vectors(new)
    assert encoder.left_out_tokens == 3
    export_onnx(encoder, new, tmp_path / "onnx")
    assert json.loads((new / "1_Pooling" / "config.json").read_text())["include_prompt"] is False


def test_a_prompt_that_other_poolings_would_leave_out_is_refused(save_encoder: SaveEncoder) -> None:
    options: dict[str, Any] = {"prompts": {"query": "the red "}, "default_prompt_name": "query"}
    with pytest.raises(BaseModelError, match="prompt that is left out of its cls pooling"):
        read_encoder_settings(leave_prompt_out(save_encoder(pooling="cls", **options)))
    folder = leave_prompt_out(save_encoder(**options))
    with pytest.raises(BaseModelError, match="which cls pooling cannot: leave the pooling out"):
        Encoder.load(folder, "cls")
    recipe = make_recipe(tuning={"weighting": "inverse-frequency"})
    with pytest.raises(RecipeError, match=r"leave out tuning\.weighting"):
        check_base_for(recipe, folder)


def test_a_default_prompt_without_room_for_a_text_is_refused(save_encoder: SaveEncoder) -> None:
    folder = save_encoder(prompts={"query": "the red "}, default_prompt_name="query")
    with pytest.raises(TokenizerError, match=r"'the red ' .* take all of the 4 tokens"):
        Encoder.load(folder, max_tokens=4)


def test_vectors_are_cut_as_the_folder_says(
    save_encoder: SaveEncoder, sentences: list[str], tmp_path: Path
) -> None:
    folder = save_encoder(Normalize(), truncate_dim=8)
    check_base(folder)
    assert check_equal_vectors(folder).dimension == 8
    encoder = check_equal_vectors(tuned_encoder(folder, sentences, tmp_path))
    assert encoder.dimension == 8
    wide = save_encoder(Normalize(), truncate_dim=99)
    assert check_equal_vectors(wide).dimension == 32


def test_a_second_prompt_is_refused(save_encoder: SaveEncoder) -> None:
    folder = save_encoder(prompts={"query": "the red "}, default_prompt_name="query")
    with pytest.raises(BaseModelError, match="puts 'the red ' before every text"):
        Encoder.load(folder, prompt="{text} is one [MASK]")


def test_modules_with_code_of_their_own_are_refused(save_encoder: SaveEncoder) -> None:
    folder = save_encoder()
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "custom_pooling.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BaseModelError, match=r"custom_pooling\.Pooling, which needs code"):
        check_base(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{"path": "0_Transformer"}, {}], "has its model in 0_Transformer"),
        ([{}, {"type": "sentence_transformers.models.Router"}], "Transformer, Router, not"),
        ([{"type": "sentence_transformers.models.StaticEmbedding"}, {}], "StaticEmbedding"),
        ([{}, {"path": "../1_Pooling"}], "a module elsewhere"),
    ],
)
def test_modules_without_transformer_and_pooling_are_refused(
    save_encoder: SaveEncoder, changes: list[dict[str, str]], message: str
) -> None:
    folder = save_encoder()
    modules = json.loads((folder / "modules.json").read_text())
    changed = [module | change for module, change in zip(modules, changes, strict=True)]
    (folder / "modules.json").write_text(json.dumps(changed))
    with pytest.raises(BaseModelError, match=message):
        read_encoder_settings(folder)
