"""Recipe defaults taken from the base, and checks of the recipe against it.

Pooling and the tokens read of a text are a base's own if it is an encoder; for a plain model they
are the level's defaults.  The learning rate for views of documents depends on the base's kind and
width.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import check_base
from mirror.encoders.model_config import architecture_of, hidden_size, read_config, token_limit
from mirror.encoders.prompt import check_room, write_prompt
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.encoders.sentence_transformers_reader import check_reading, read_encoder_settings
from mirror.encoders.tokenizer_checks import MANY_PROBES, probe_words, unknown_word_share
from mirror.encoders.tokenizer_files import (
    PLAIN_CLASSES,
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS,
    read_settings,
    read_special_tokens,
    read_tokenizer,
    read_tokenizer_file,
)
from mirror.errors import RecipeError
from mirror.log_once import warn_once
from mirror.recipe import Recipe
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning

log = logging.getLogger(__name__)

LONGEST_TUNED = 512
"""The most tokens of a string that tuning reads unless a recipe says more: the memory of attention
grows with the square."""

ENCODER_RATE = 5e-5
PLAIN_RATE, PLAIN_WIDTH = 3e-4, 256
"""The rate of a plain model, and the width up to which it holds."""

LEAST_LOSS = 0.005
"""Share of words that lower-casing may make unknown without a warning."""


def settle_recipe(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with every setting that it leaves to its base.

    An encoder that is tuned with fewer tokens, as on views of documents, still reads as many as
    before, unless the recipe sets `inference_max_tokens`.

    Args:
        recipe: as it was read; a settled recipe is returned as it is.
        folder: the base's.

    Raises:
        RecipeError: the base's pooling does not go with other settings.
        BaseModelError: the base's settings cannot be read.
    """
    tuning = recipe.tuning
    own = read_encoder_settings(folder)
    defaults = _defaults(recipe)
    pooling, tokens, longest = tuning.pooling, tuning.max_tokens, tuning.inference_max_tokens
    if own is None:
        pooling = pooling or defaults["pooling"]
        tokens = tokens or min(defaults["max_tokens"], longest or defaults["max_tokens"])
    else:
        length = saved_max_tokens(own, folder) or defaults["max_tokens"]
        most = defaults["max_tokens"] if tuning.uses_documents else LONGEST_TUNED
        tokens = tokens or min(length, most, longest or length)
        pooling = pooling or own.pooling
        longest = longest or max(length, tokens)
    rate = tuning.learning_rate or default_rate(folder, is_encoder=own is not None)
    settled = {
        "pooling": pooling,
        "max_tokens": tokens,
        "inference_max_tokens": longest,
        "learning_rate": rate,
    }
    content = recipe.model_dump(mode="json")
    if settled.items() <= content["tuning"].items():
        return recipe
    content["tuning"] |= settled
    return recipe.settled(content, f"{recipe.name} with the base {folder}")


def _defaults(recipe: Recipe) -> Mapping[str, Any]:
    """Return the defaults of `[tuning]` for a plain model."""
    given = {"mode": recipe.tuning.mode, "views": recipe.tuning.views}
    return fill_tuning(recipe.level, given)


def default_rate(folder: Path, *, is_encoder: bool) -> float:
    """Return the highest learning rate for views of documents.

    An encoder keeps more of what it knows with a low rate.  A plain model has further to go, and a
    narrow one takes a higher rate than a wide one: the rate falls with the square of the width, to
    3.3e-5 at BERT-base's 768, close to that of unsupervised SimCSE (Gao et al. 2021, 3e-5).
    """
    if is_encoder:
        return ENCODER_RATE
    return PLAIN_RATE * (PLAIN_WIDTH / max(hidden_size(read_config(folder)), PLAIN_WIDTH)) ** 2


def saved_max_tokens(settings: EncoderSettings, folder: Path) -> int | None:
    """Return the most tokens of a text that an encoder reads; None if nothing limits them."""
    lengths = (settings.max_tokens, token_limit(folder))
    return min((length for length in lengths if length), default=None)


def check_base_for(recipe: Recipe, folder: Path, *, tuned: bool = True) -> None:
    """Check that a folder's model can be tuned as a recipe says.

    Warns if the model takes fewer tokens of a text than the defaults of the recipe's level.

    Args:
        recipe: the recipe.
        folder: the model's.
        tuned: False if the model is only evaluated, untuned.

    Raises:
        BaseModelError: as `check_base`, or the base cannot be read with the recipe's pooling.
        TokenizerError: as `check_base` and `check_prompt`.
        RecipeError: the recipe sets more tokens of a text than the model takes.
    """
    check_base(folder, masks=tuned and recipe.tuning.needs_mask_token)
    recipe = settle_recipe(recipe, folder)
    if own := read_encoder_settings(folder):
        _check_own_reading(own, recipe, folder)
    if recipe.tuning.prompt is not None:
        check_prompt(folder, recipe.tuning)
    if tuned and recipe.tuning.dimensions is not None:
        _check_dimensions(recipe, folder, own)
    if tuned and recipe.tuning.lowercase:
        _warn_of_unknown_words(folder)
    _check_lengths(recipe, folder)


def _check_lengths(recipe: Recipe, folder: Path) -> None:
    limit = token_limit(folder)
    defaults = _defaults(recipe)
    for setting in ("inference_max_tokens", "max_tokens"):
        tokens = getattr(recipe.tuning, setting)
        if limit is None or tokens is None or tokens <= limit:
            continue
        if tokens != defaults.get(setting):
            raise RecipeError(
                f"recipe {recipe.name}: tuning.{setting} is {tokens}, and the model in {folder} "
                f"takes {limit} tokens of a text: set it to {limit} at most, or choose another base"
            )
        warn_once(
            log,
            f"the model in {folder} takes {limit} tokens of a text and not {tokens}, the "
            f"{setting} of level {recipe.level!r}: longer texts are truncated; to accept this, "
            f"set tuning.{setting} to {limit} in recipe {recipe.name}",
        )


def _check_own_reading(own: EncoderSettings, recipe: Recipe, folder: Path) -> None:
    check_reading(own, recipe.tuning.pooling, recipe.tuning.prompt, folder)
    if own.leaves_prompt_out and recipe.tuning.weighting != "equal":
        raise RecipeError(
            f"recipe {recipe.name}: the base in {folder} leaves its prompt out of the mean over "
            "tokens, which cannot be weighted too: leave out tuning.weighting"
        )


def _check_dimensions(recipe: Recipe, folder: Path, own: EncoderSettings | None) -> None:
    widths = [layer.width for layer in own.head if layer.width] if own else []
    width = widths[-1] if widths else hidden_size(read_config(folder))
    if (dimensions := recipe.tuning.dimensions) is not None and dimensions > width:
        raise RecipeError(
            f"recipe {recipe.name}: tuning.dimensions is {dimensions}, and the vectors of the base "
            f"in {folder} have {width}: lower it, or leave it out"
        )


def check_prompt(folder: Path, tuning: TuningSection) -> None:
    """Check that a folder's tokenizer can put a recipe's prompt around texts.

    A folder without `tokenizer.json` is not checked until it is loaded.
    """
    if tuning.prompt is None or not (folder / TOKENIZER_FILE).is_file():
        return
    tokenizer = read_tokenizer_file(folder / TOKENIZER_FILE)
    kind = architecture_of(read_config(folder), folder)
    tokens = read_special_tokens(folder, kind, tokenizer)
    write_prompt(tokenizer, tokens, tuning.prompt, tuning.pooling or "mean", folder)
    if tuning.max_tokens is not None:
        check_room(tokenizer, tuning.max_tokens, folder)


def _warn_of_unknown_words(folder: Path) -> None:
    """Warn if lower-casing makes words of a base's vocabulary unknown, as it does with Hangul."""
    from mirror.encoders.tokenizer_loading import lowercase_bert

    if read_settings(folder / TOKENIZER_SETTINGS).get("tokenizer_class") in PLAIN_CLASSES:
        return  # its class ignores the setting
    tokenizer = read_tokenizer(folder)
    kind = architecture_of(read_config(folder), folder)
    unknown = read_special_tokens(folder, kind, tokenizer).unknown
    words = probe_words(tokenizer.get_vocab(), MANY_PROBES)
    before = unknown_word_share(tokenizer, unknown, words)
    if not lowercase_bert(tokenizer):
        return
    after = unknown_word_share(tokenizer, unknown, words)
    if after > before + LEAST_LOSS:
        warn_once(
            log,
            f"lower-casing (tuning.lowercase, which mode 'paper' sets) makes {after:.0%} of the "
            f"words of the vocabulary of {folder} unknown, and {before:.0%} without: set "
            "tuning.lowercase to false, or choose an uncased base",
        )
