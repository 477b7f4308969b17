"""Settings that a recipe leaves to its base, and checks of the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from mirror.encoders.base_settings import check_base_for, settle_recipe
from mirror.errors import BaseModelError, RecipeError
from mirror.recipe import Recipe
from mirror.tuning_defaults import DOCUMENT_DEFAULTS
from tests.fixtures.bases import edit_json, set_keys
from tests.fixtures.recipes import make_recipe

POSITIONS = "bert.embeddings.position_embeddings.weight"
SaveEncoder = Callable[..., Path]


def recipe_with(level: str = "sentence", **tuning: Any) -> Recipe:
    return make_recipe(level=level, tuning=tuning)


@pytest.mark.parametrize("setting", ["max_tokens", "inference_max_tokens"])
def test_more_tokens_than_the_base_takes_are_refused(base: Path, setting: str) -> None:
    check_base_for(recipe_with(**{setting: 64}), base)
    with pytest.raises(RecipeError) as fault:
        check_base_for(recipe_with(**{setting: 65}), base)
    assert str(fault.value) == (
        f"recipe en-trades: tuning.{setting} is 65, and the model in {base} takes 64 tokens of a "
        "text: set it to 64 at most, or choose another base"
    )
    with pytest.raises(
        RecipeError, match="65"
    ):  # also for an untuned base, which would silently truncate
        check_base_for(recipe_with(**{setting: 65}), base, tuned=False)


def test_more_dimensions_than_the_base_has_are_refused(base: Path) -> None:
    check_base_for(recipe_with(dimensions=32), base)
    check_base_for(recipe_with(dimensions=33), base, tuned=False)
    with pytest.raises(RecipeError, match=r"tuning\.dimensions is 33, and the vectors .* have 32"):
        check_base_for(recipe_with(dimensions=33), base)


@pytest.mark.parametrize(
    ("positions", "settings", "expected"),
    [
        (128, {}, []),
        (40, {}, ["takes 40 tokens of a text and not 128, the max_tokens of level 'sentence'"]),
        (60, {"mode": "paper"}, ["and not 64, the inference_max_tokens of level 'sentence'"]),
    ],
)
def test_a_default_above_the_bases_limit_is_logged_once(
    base: Path,
    positions: int,
    settings: dict[str, Any],
    expected: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    set_keys(base / "config.json", max_position_embeddings=positions)
    weights = load_file(base / "model.safetensors")
    save_file({**weights, POSITIONS: torch.zeros(positions, 32)}, base / "model.safetensors")
    for _ in range(2):
        check_base_for(recipe_with(**settings), base)
    assert len(caplog.messages) == len(expected)
    assert all(part in message for part, message in zip(expected, caplog.messages, strict=True))


def test_a_base_without_a_limit_takes_any_number_of_tokens(base: Path) -> None:
    edit_json(base / "config.json", lambda c: c.pop("max_position_embeddings"))
    check_base_for(recipe_with(max_tokens=500), base)


@pytest.mark.parametrize(
    ("level", "pooling", "max_tokens"), [("word", "cls", 25), ("sentence", "mean", 128)]
)
def test_a_plain_base_gets_the_levels_defaults(
    tiny_base: Path, level: str, pooling: str, max_tokens: int
) -> None:
    read = recipe_with(level)
    assert (read.tuning.pooling, read.tuning.max_tokens) == (None, None)
    tuning = settle_recipe(read, tiny_base).tuning
    assert (tuning.pooling, tuning.max_tokens) == (pooling, max_tokens)
    assert (tuning.inference_max_tokens, tuning.encoder_tokens) == (None, max_tokens)


def test_an_encoder_brings_its_pooling_and_length(save_encoder: SaveEncoder) -> None:
    folder = save_encoder(Normalize(), pooling="cls", max_seq_length=40)
    tuning = settle_recipe(recipe_with(), folder).tuning
    assert (tuning.pooling, tuning.max_tokens, tuning.encoder_tokens) == ("cls", 40, 40)


def test_views_of_documents_are_tuned_on_with_fewer_tokens_than_an_encoder_reads(
    save_encoder: SaveEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOCUMENT_DEFAULTS, "max_tokens", 30)
    folder = save_encoder(pooling="mean", max_seq_length=40)
    tuning = settle_recipe(recipe_with(views="crops"), folder).tuning
    assert (tuning.max_tokens, tuning.encoder_tokens) == (30, 40)
    assert settle_recipe(recipe_with(views="crops", max_tokens=35), folder).tuning.max_tokens == 35


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_tokens": 20}, ("mean", 20, 40)),
        ({"max_tokens": 50}, ("mean", 50, 50)),
        ({"max_tokens": 20, "inference_max_tokens": 30}, ("mean", 20, 30)),
        ({"pooling": "first-last"}, ("first-last", 40, 40)),
    ],
)
def test_a_recipe_overrides_what_an_encoder_brings(
    save_encoder: SaveEncoder, settings: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    tuning = settle_recipe(recipe_with(**settings), save_encoder(max_seq_length=40)).tuning
    assert (tuning.pooling, tuning.max_tokens, tuning.encoder_tokens) == expected


def test_an_encoder_without_a_length_of_its_own_reads_what_its_model_takes(
    save_encoder: SaveEncoder,
) -> None:
    assert settle_recipe(recipe_with(), save_encoder()).tuning.encoder_tokens == 64


def test_a_settled_recipe_stays_as_it_is(tiny_base: Path, save_encoder: SaveEncoder) -> None:
    for folder in (tiny_base, save_encoder()):
        settled = settle_recipe(recipe_with(), folder)
        assert settle_recipe(settled, folder) is settled


def test_mode_paper_leaves_no_setting_to_the_base(save_encoder: SaveEncoder) -> None:
    recipe = recipe_with(mode="paper")
    assert settle_recipe(recipe, save_encoder()) is recipe
    assert recipe.tuning.pooling == "mean-with-padding"


def test_weights_of_tokens_need_a_base_with_a_mean(save_encoder: SaveEncoder) -> None:
    recipe = recipe_with(weighting="inverse-frequency")
    assert settle_recipe(recipe, save_encoder()).tuning.pooling == "mean"
    with pytest.raises(RecipeError, match="`weighting` is for a mean"):
        settle_recipe(recipe, save_encoder(pooling="cls"))


@pytest.mark.case("c6")
def test_another_pooling_than_that_of_a_last_linear_layer_is_refused(
    save_encoder: SaveEncoder,
) -> None:
    folder = save_encoder(Dense(32, 8), max_seq_length=40)
    check_base_for(recipe_with(), folder)
    with pytest.raises(BaseModelError, match="fitted to mean pooling, not to cls"):
        check_base_for(recipe_with(pooling="cls"), folder)


def test_the_rate_for_documents_depends_on_the_base(
    tiny_base: Path, save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    def rate(folder: Path, **tuning: Any) -> float | None:
        return settle_recipe(make_recipe(tuning=tuning), folder).tuning.learning_rate

    wide = tmp_path / "wide"
    shutil.copytree(tiny_base, wide)
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps({**config, "hidden_size": 768}))
    assert rate(tiny_base, views="crops") == 3e-4
    assert rate(wide, views="crops") == pytest.approx(3.33e-5, rel=1e-2)
    assert rate(save_encoder(pooling="mean"), views="crops") == 5e-5
    assert rate(tiny_base, views="crops", learning_rate=1e-4) == 1e-4
    assert rate(wide) == rate(tiny_base) == 2e-5
