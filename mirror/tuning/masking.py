"""Span masking: one consecutive span of a string is replaced by mask tokens (paper, section 2.2).

The span depends only on the seed, the epoch and the string's index.  A string that is not longer
than the span is returned unchanged, so that no string is masked completely.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mirror.tuning_config import Masking as Unit

OFFICIAL_MASK = "[MASK]"
"""The mask token of the official code, for every model (docs/official-code.md, fault 8)."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Masking:
    """How the second view of a pair is masked."""

    length: int
    """k of the paper: characters, words or word pieces in the span; 0 for no masking."""
    min_characters: int
    """Shorter strings are not masked."""
    token: str
    """The tokenizer's mask token."""
    seed: int
    unit: Unit = "characters"
    token_id: int | None = None
    """The mask token's id; needed only for word pieces."""
    special_ids: frozenset[int] = frozenset()
    """Ids that are never masked, such as class token and separator."""


def masked_text(text: str, index: int, epoch: int, masking: Masking) -> str:
    """Return the masked view of a string in an epoch.

    Args:
        text: the string.
        index: of the string in the sample.
        epoch: counted from 0.
        masking: of any unit except "word-pieces".

    Raises:
        ValueError: the unit is "word-pieces", for which there is `masked_ids`.
    """
    generator = _generator(index, epoch, masking)
    if masking.unit == "characters":
        return mask_span(text, masking, generator)
    if masking.unit == "characters-paper":
        return mask_span_as_official(text, masking, generator)
    if masking.unit == "words":
        return mask_words(text, masking, generator)
    raise ValueError(f"{masking.unit} are masked in ids, not in a text: call masked_ids")


def masked_ids(
    ids: Sequence[int], text: str, index: int, epoch: int, masking: Masking
) -> list[int]:
    """Return the token ids of the masked view of a string in an epoch; as many as `ids`.

    Args:
        ids: of the string, truncated, with special tokens.
        text: the string; only its length in characters is used.
        index: of the string in the sample.
        epoch: counted from 0.
        masking: of the unit "word-pieces".

    Raises:
        ValueError: the unit is another one, for which there is `masked_text`, or the mask token's
            id is missing.
    """
    if masking.unit != "word-pieces":
        raise ValueError(f"{masking.unit} are masked in a text, not in ids: call masked_text")
    if len(text) < masking.min_characters:
        return list(ids)
    return mask_pieces(ids, masking, _generator(index, epoch, masking))


def mask_span(text: str, masking: Masking, generator: random.Random) -> str:
    """Return the text with one span of characters replaced by one mask token.

    All spans are equally likely, including the last.
    """
    if _is_too_short(text, len(text), masking):
        return text
    start = generator.randrange(len(text) - masking.length + 1)
    return text[:start] + masking.token + text[start + masking.length :]


def mask_span_as_official(text: str, masking: Masking, generator: random.Random) -> str:
    """Return the text masked as the official code does (docs/official-code.md, faults 6 and 8).

    It never draws the last span, masks the first occurrence of the drawn span's characters, adds a
    space on either side, and writes `[MASK]` for every tokenizer.
    """
    if _is_too_short(text, len(text), masking):
        return text
    start = generator.randrange(len(text) - masking.length)
    before, _, after = text.partition(text[start : start + masking.length])
    return f"{before} {OFFICIAL_MASK} {after}"


def mask_words(text: str, masking: Masking, generator: random.Random) -> str:
    """Return the text with each word of one span of words replaced by a mask token.

    Words are separated by white space, which is not changed.  Each word has its own mask token:
    with one token for a long span, the two views would differ mainly in their length.
    """
    words = list(_WORD.finditer(text))
    if _is_too_short(text, len(words), masking):
        return text
    start = generator.randrange(len(words) - masking.length + 1)
    span = words[start : start + masking.length]
    masked = _WORD.sub(lambda _: masking.token, text[span[0].start() : span[-1].end()])
    return text[: span[0].start()] + masked + text[span[-1].end() :]


def mask_pieces(ids: Sequence[int], masking: Masking, generator: random.Random) -> list[int]:
    """Return the ids with each word piece of one span replaced by the mask token's id.

    All spans without a special token are equally likely.

    Raises:
        ValueError: the mask token's id is missing.
    """
    if masking.token_id is None:
        raise ValueError("masking of word pieces needs `token_id`, the id of the mask token")
    masked, length = list(ids), masking.length
    special = [number in masking.special_ids for number in masked]
    if not length or len(masked) - sum(special) <= length:
        return masked
    starts = [
        start
        for start in range(len(masked) - length + 1)
        if not any(special[start : start + length])
    ]
    if starts:
        start = generator.choice(starts)
        masked[start : start + length] = [masking.token_id] * length
    return masked


def _generator(index: int, epoch: int, masking: Masking) -> random.Random:
    return random.Random(f"mask {masking.seed} {epoch} {index}")


def _is_too_short(text: str, units: int, masking: Masking) -> bool:
    return not masking.length or len(text) < masking.min_characters or units <= masking.length
