"""Fit of a base's vocabulary to a corpus: unknown text, and pieces for a character.

The bounds were measured with the tokenizers of 11 published bases on text of 15 languages, a few
sentences of five of them.  In a language that a base was made for, at most .03 of the text is
unknown, and a character has at most .75 pieces.  In most languages whose script it lacks, .3 or
more is unknown, or a character has .9 pieces or more; in Hindi and Japanese some know .8 of it.
Pieces for a word tell less, since some languages do not put spaces between words, and the
share of unknown pieces too, since a piece may be a whole unknown sentence.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import regex

from mirror.errors import BaseModelError
from mirror.log_once import warn_once
from mirror.recipe import Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

MEASURED = 4_000
"""Texts that are measured."""
MANY_UNKNOWN = 0.05
MOST_UNKNOWN = 0.3
MANY_PIECES = 0.8
MOST_PIECES = 0.9
SYLLABLE_WEIGHT = 1.6
"""A Chinese character, a kana or a Hangul syllable counts as so many letters."""

_LETTER = regex.compile(r"\S")
_SYLLABLE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")


@dataclass(frozen=True)
class VocabularyFit:
    """How well a tokenizer knows a text."""

    unknown_characters: float
    """Share of the characters that are in unknown pieces."""
    pieces_per_character: float
    """Syllables with their weight."""


def measure_fit(texts: Sequence[str], tokenizer: Tokenizer) -> VocabularyFit:
    """Return the fit of a tokenizer to the first of some texts."""
    texts, unknown_id = texts[:MEASURED], find_unknown_id(tokenizer)
    pieces = unknown = 0
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        pieces += len(encoding.ids)
        if unknown_id in encoding.ids:
            spans = zip(encoding.ids, encoding.offsets, strict=True)
            unknown += sum(end - start for number, (start, end) in spans if number == unknown_id)
    letters = sum(len(_LETTER.findall(text)) for text in texts)
    return VocabularyFit(
        min(1.0, unknown / max(letters, 1)), pieces / max(1.0, weighted_characters(texts))
    )


def find_unknown_id(tokenizer: Tokenizer) -> int:
    """Return the id of unknown pieces; -1 if there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    number, token = model.get("unk_id"), model.get("unk_token")  # of Unigram, of other models
    if number is None and token is not None:
        number = tokenizer.token_to_id(token)
    return -1 if number is None else int(number)


def weighted_characters(texts: Iterable[str]) -> float:
    """Return the number of characters without spaces, syllables with their weight."""
    return sum(
        len(_LETTER.findall(text)) + (SYLLABLE_WEIGHT - 1) * len(_SYLLABLE.findall(text))
        for text in texts
    )


def check_vocabulary(recipe: Recipe, counts: Mapping[str, Any], base: str) -> None:
    """Check that a base's tokenizer knows the corpus's text; warn if it knows it badly.

    Args:
        recipe: `base.any_vocabulary` accepts any tokenizer.
        counts: of the profile stage.
        base: where the base is from, for messages.

    Raises:
        BaseModelError: it knows hardly any of the text, and the recipe does not insist.
    """
    unknown, pieces = counts["unknown_characters"], counts["pieces_per_character"]
    found = (
        f"the tokenizer of {base} does not fit the text of {recipe.name}: {unknown:.0%} of it is "
        f"unknown, with {pieces:.2f} pieces a character and "
        f"{counts['pieces_per_word']:.1f} a word"
    )
    remedy = "choose a base made for the language, such as a multilingual one"
    if unknown >= MOST_UNKNOWN or pieces >= MOST_PIECES:
        if not recipe.base.any_vocabulary:
            raise BaseModelError(
                f"{found}: {remedy}, or set base.any_vocabulary to true to tune it nevertheless"
            )
        warn_once(log, f"{found}, which base.any_vocabulary accepts")
    elif fits_badly(counts):
        warn_once(log, f"{found}: {remedy}")


def fits_badly(counts: Mapping[str, Any]) -> bool:
    """Return whether a profile's counts are beyond what is usual in a base's own language."""
    pieces: float = counts.get("pieces_per_character", 0.0)
    unknown: float = counts.get("unknown_characters", 0.0)
    return pieces >= MANY_PIECES or unknown >= MANY_UNKNOWN
