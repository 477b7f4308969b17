"""Which languages there are, and whether a text is clearly in another than it should be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache

import regex

from mirror.corpus.language_shares import LanguageShares
from mirror.errors import CorpusError

log = logging.getLogger(__name__)

LEAST_LETTERS = 80
"""A guess from fewer letters is worth little: names, code, formulas."""
MOST_CHARACTERS = 1_000
"""Read of a document; more adds cost, not certainty."""
LEAST_SHARE = 0.6
"""Of letters and spaces in a text; below, it is code or a table, and no guess is made."""
CERTAIN = 0.99
"""That a text is in another language, before it is rejected."""
RELATED_LANGUAGES = (
    frozenset({"nb", "nn", "no"}),
    frozenset({"bs", "hr", "sr"}),
    frozenset({"id", "ms"}),
)
"""Languages too near each other to reject one for another."""

_PRIVATE = regex.compile(r"q[a-t][a-z]|mis|mul|und|zxx")
"""Codes that stand for no one language."""
_LETTERS = regex.compile(r"\p{L}++")
_MARKS = regex.compile(r"\p{M}++")
_BEYOND_ASCII = regex.compile(r"[^\x00-\x7f]++")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def check_language_exists(language: str) -> None:
    """Refuses a code that no language has.

    Raises:
        CorpusError: the registry of language codes does not know it.
    """
    import langcodes

    if _PRIVATE.fullmatch(language) or not langcodes.Language.get(language).is_valid():
        raise CorpusError(
            f"language {language!r} of the recipe is no ISO 639 code that exists: "
            "correct it, for example en, de, sw"
        )


@cache
def foreign_detector(language: str) -> Callable[[Sequence[str]], list[bool]] | None:
    """Tells which texts are clearly in another language; nothing if it cannot be told.

    What is told of a text depends on no other that is given with it.
    """
    shares = LanguageShares()
    own = (
        next((kin for kin in RELATED_LANGUAGES if language in kin), frozenset({language}))
        & shares.labels
    )
    if not own:
        log.warning("py3langid does not know %s: other languages are not looked for", language)
        return None

    def are_foreign(texts: Sequence[str]) -> list[bool]:
        heads = [text[:MOST_CHARACTERS] for text in texts]
        foreign = [False] * len(texts)
        asked = [number for number, head in enumerate(heads) if _is_prose(head)]
        if asked:
            found = shares.of([heads[number] for number in asked], own)
            for number, share in zip(asked, found.tolist(), strict=True):
                foreign[number] = share < 1 - CERTAIN
        return foreign

    return are_foreign


def _is_prose(text: str) -> bool:
    """Whether there is enough text to guess from, and it is neither code nor a table."""
    if len(text) < LEAST_LETTERS:
        return False
    plain = text.encode("ascii", "ignore")
    letters, marks = len(plain.translate(None, _NO_LETTERS)), 0
    if len(plain) < len(text):
        rest = "".join(_BEYOND_ASCII.findall(text))
        letters += sum(map(len, _LETTERS.findall(rest)))
        marks = sum(map(len, _MARKS.findall(rest)))
    prose = letters + marks + plain.count(b" ")
    return letters >= LEAST_LETTERS and prose >= LEAST_SHARE * len(text)
