"""Which languages there are, and whether a text is clearly in another than it should be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import regex

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
KIN = (frozenset({"nb", "nn", "no"}), frozenset({"bs", "hr", "sr"}), frozenset({"id", "ms"}))
"""Languages too near each other to reject one for another."""

_PRIVATE = regex.compile(r"q[a-t][a-z]|mis|mul|und|zxx")
"""Codes that stand for no one language."""
_LETTER = regex.compile(r"\p{L}")
_PROSE = regex.compile(r"[\p{L}\p{M} ]")


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
def foreign_detector(language: str) -> Callable[[str], bool] | None:
    """Tells of a text whether it is clearly in another language; nothing if it cannot be told."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    labels = {str(label) for label in identifier.labels}
    own = next((kin for kin in KIN if language in kin), frozenset({language})) & labels
    if not own:
        log.warning("py3langid does not know %s: other languages are not looked for", language)
        return None

    def is_foreign(text: str) -> bool:
        head = text[:MOST_CHARACTERS]
        if len(_LETTER.findall(head)) < LEAST_LETTERS:
            return False
        if len(_PROSE.findall(head)) < LEAST_SHARE * len(head):
            return False
        share = sum(float(share) for label, share in identifier.rank(head) if label in own)
        return share < 1 - CERTAIN

    return is_foreign
