"""Masking: a string with one consecutive run of it hidden (paper, section 2.2).

Which run is hidden follows from the seed, the epoch and the string's index alone.  A string that is
not longer than the run, in the run's own units, comes back unchanged, so that no string is ever
hidden whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mirror.tuning_config import Masking as Unit

OFFICIAL_MASK = "[MASK]"
"""What the official code writes for every model (paper.md, part 3, no. 8)."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Masking:
    """How one side of a pair is masked."""

    length: int
    """k of the paper: characters, words or word pieces in the hidden run; 0 for none."""
    min_characters: int
    """Strings shorter than this are left alone."""
    token: str
    """The tokenizer's own mask token."""
    seed: int
    unit: Unit = "characters"
    token_id: int | None = None
    """The mask token's id; needed for word pieces alone."""
    special_ids: frozenset[int] = frozenset()
    """Ids of which no run may hold any, such as those of the marks of a text's start and end."""


def masked_text(text: str, index: int, epoch: int, masking: Masking) -> str:
    """The masked side of the pair of the string at `index`, in one epoch.

    Raises:
        ValueError: the masking is of word pieces, which `masked_ids` hides.
    """
    generator = _generator(index, epoch, masking)
    if masking.unit == "characters":
        return mask_span(text, masking, generator)
    if masking.unit == "characters-paper":
        return mask_span_officially(text, masking, generator)
    if masking.unit == "words":
        return mask_words(text, masking, generator)
    raise ValueError(f"{masking.unit} are masked in ids, not in a text: call masked_ids")


def masked_ids(
    ids: Sequence[int], text: str, index: int, epoch: int, masking: Masking
) -> list[int]:
    """The masked side's token ids of the pair of the string at `index`, in one epoch.

    Args:
        ids: Of the string, cut as it will be read, with the tokenizer's marks; as many come back.
        text: The string, for its length in characters alone.
        index: Of the string in the sample.
        epoch: Counted from 0.
        masking: Of the unit "word-pieces".

    Raises:
        ValueError: the masking is of something else, which `masked_text` hides, or it does not
            know the mask token's id.
    """
    if masking.unit != "word-pieces":
        raise ValueError(f"{masking.unit} are masked in a text, not in ids: call masked_text")
    if len(text) < masking.min_characters:
        return list(ids)
    return mask_pieces(ids, masking, _generator(index, epoch, masking))


def mask_span(text: str, masking: Masking, generator: random.Random) -> str:
    """The text with one run of characters replaced by one mask token.

    Every run is as likely as any other, the last one included.
    """
    if _left_alone(text, len(text), masking):
        return text
    start = generator.randrange(len(text) - masking.length + 1)
    return text[:start] + masking.token + text[start + masking.length :]


def mask_span_officially(text: str, masking: Masking, generator: random.Random) -> str:
    """The same with the faults of the official code (paper.md, part 3, nos. 6 and 8).

    It draws a run, the last one never, but hides the first that reads like it; it adds a space on
    either side, and writes `[MASK]` whatever the tokenizer's token is.
    """
    if _left_alone(text, len(text), masking):
        return text
    start = generator.randrange(len(text) - masking.length)
    before, _, after = text.partition(text[start : start + masking.length])
    return f"{before} {OFFICIAL_MASK} {after}"


def mask_words(text: str, masking: Masking, generator: random.Random) -> str:
    """The text with each word of one run of words replaced by a mask token.

    Words are what stands between white space, which itself is left as it is.  Each has a mask token
    of its own, because a run of words may be half of a text: one token for all of it would give two
    views of different length, which is then what tells them apart.
    """
    words = list(_WORD.finditer(text))
    if _left_alone(text, len(words), masking):
        return text
    start = generator.randrange(len(words) - masking.length + 1)
    run = words[start : start + masking.length]
    hidden = _WORD.sub(lambda _: masking.token, text[run[0].start() : run[-1].end()])
    return text[: run[0].start()] + hidden + text[run[-1].end() :]


def mask_pieces(ids: Sequence[int], masking: Masking, generator: random.Random) -> list[int]:
    """The ids with each of one run of word pieces replaced by the mask token's id.

    Every run without a special token is as likely as any other.

    Raises:
        ValueError: the masking does not know the mask token's id.
    """
    if masking.token_id is None:
        raise ValueError("masking word pieces needs the id of the mask token")
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


def _left_alone(text: str, units: int, masking: Masking) -> bool:
    return not masking.length or len(text) < masking.min_characters or units <= masking.length
