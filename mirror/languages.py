"""Which languages there are, and whether a text is clearly in another than it should be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import regex

from mirror.errors import CorpusError

LEAST_LETTERS = 80
"""A guess from fewer letters is worth little: names, code, formulas."""
MOST_CHARACTERS = 1_000
"""Read of a document; more adds cost, not certainty."""
LEAST_SHARE = 0.6
"""Of letters and spaces in a text; below, it is code or a table, and no guess is made."""
CERTAIN = 0.99

_LETTER = regex.compile(r"\p{L}")
_PROSE = regex.compile(r"[\p{L}\p{M} ]")


def check_language_exists(language: str) -> None:
    """Refuses a code that no language has.

    Raises:
        CorpusError: the registry of language codes does not know it.
    """
    import langcodes

    if not langcodes.Language.get(language).is_valid():
        raise CorpusError(
            f"language {language!r} of the recipe is no ISO 639 code that exists: "
            "correct it, for example en, de, sw"
        )


@cache
def foreign_detector(language: str) -> Callable[[str], bool] | None:
    """Tells of a text whether it is clearly in another language; nothing if it cannot be told."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if language not in {str(label) for label in identifier.labels}:
        return None

    def is_foreign(text: str) -> bool:
        head = text[:MOST_CHARACTERS]
        if len(_LETTER.findall(head)) < LEAST_LETTERS:
            return False
        if len(_PROSE.findall(head)) < LEAST_SHARE * len(head):
            return False
        guess, probability = identifier.classify(head)
        return guess != language and probability >= CERTAIN

    return is_foreign
