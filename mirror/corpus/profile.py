"""Corpus profile: a corpus in a few numbers, kept with an encoder for later comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirror.errors import StoreError
from mirror.stage_files import read_json
from mirror.store import StageRecord

PROFILE = "profile.json"
LENGTH_STEP = 10


@dataclass(frozen=True)
class CorpusProfile:
    """Strings, lengths and word pieces of a corpus."""

    strings: int
    """Different strings in the whole corpus."""
    sketch: tuple[str, ...]
    """The lowest hashes of its strings, ascending; of all strings if they are few."""
    pieces: Mapping[str, int]
    """How often each of the base model's word pieces is in the drawn strings."""
    unknown: int
    """Pieces of the drawn strings that are not in the base model's vocabulary."""
    words: int
    """Words of the drawn strings, as the base model's tokenizer splits them."""
    lengths: Mapping[str, int]
    """Drawn strings by length in characters, rounded down to a multiple of ten."""


def parse_profile(content: Any, origin: str) -> CorpusProfile:
    """Return a profile from its JSON; `origin` names it in errors.

    Raises:
        StoreError: the JSON is no profile.
    """
    try:
        profile = CorpusProfile(**{**content, "sketch": tuple(content["sketch"])})
        numbers = (profile.strings, profile.unknown, profile.words)
        counts = (*profile.pieces.values(), *profile.lengths.values(), *numbers)
        if not all(isinstance(count, int) for count in counts):
            raise TypeError("its counts are not whole numbers")
    except (TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{origin} is no profile of a corpus ({error}): run the recipe without --if-changed"
        ) from error
    return profile


def read_profile(record: StageRecord) -> CorpusProfile:
    """Return the profile that a stage has written.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = record.path / PROFILE
    return parse_profile(read_json(path), str(path))


def unknown_share(profile: CorpusProfile) -> float:
    """Return the share of word pieces that are unknown to the base model."""
    return profile.unknown / max(1, sum(profile.pieces.values()))


def pieces_per_word(profile: CorpusProfile) -> float:
    """Return the mean number of word pieces per word; lower means a better fitting vocabulary."""
    return sum(profile.pieces.values()) / max(1, profile.words)
