"""A corpus in a few numbers, small enough to keep with a model, to compare later ones with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirror.errors import StoreError
from mirror.store import StageRecord

PROFILE = "profile.json"
LENGTH_STEP = 10


@dataclass(frozen=True)
class CorpusProfile:
    """What is known of a corpus and how a tokenizer takes it."""

    strings: int
    """Different strings of the whole corpus."""
    sketch: tuple[str, ...]
    """The lowest hashes of its strings, ascending; of all strings if there are no more."""
    pieces: Mapping[str, int]
    """How often the drawn strings hold each of the base's word pieces."""
    unknown: int
    """Pieces of the drawn strings that the base's vocabulary does not have."""
    words: int
    """Words of the drawn strings, as the base's tokenizer tells them apart."""
    lengths: Mapping[str, int]
    """Drawn strings by length in characters, rounded down to a multiple of ten."""


def parse_profile(content: Any, place: str) -> CorpusProfile:
    """A profile from its JSON.

    Raises:
        StoreError: it is none.
    """
    try:
        profile = CorpusProfile(**{**content, "sketch": tuple(content["sketch"])})
        numbers = (profile.strings, profile.unknown, profile.words)
        counts = (*profile.pieces.values(), *profile.lengths.values(), *numbers)
        if not all(isinstance(count, int) for count in counts):
            raise TypeError("its counts are no whole numbers")
    except (TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{place} is no profile of a corpus ({error}): run the recipe without --if-changed"
        ) from error
    return profile


def read_profile(record: StageRecord) -> CorpusProfile:
    """The profile that a stage left.

    Raises:
        StoreError: it is gone or damaged.
    """
    path = record.path / PROFILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}): remove its folder and run again") from (
            error
        )
    return parse_profile(content, str(path))


def unknown_share(profile: CorpusProfile) -> float:
    """Share of pieces that the base's vocabulary does not have."""
    return profile.unknown / max(1, sum(profile.pieces.values()))


def pieces_per_word(profile: CorpusProfile) -> float:
    """How many pieces the base's tokenizer needs for a word: the lower, the better it knows it."""
    return sum(profile.pieces.values()) / max(1, profile.words)
