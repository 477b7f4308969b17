"""What pysbd knows of abbreviations, and a shorter way to the same for it.

pysbd looks for each of its abbreviations in turn, up to 2,000, with a pattern for each, and then
for those that a full stop follows.  Hardly a text has any.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any


@cache
def quick_language(language: str) -> Any:
    """The rules of a language that pysbd knows, with abbreviations looked for only where one is."""
    from pysbd.languages import LANGUAGE_CODES

    known = LANGUAGE_CODES[language]
    usual: Any = getattr(known, "AbbreviationReplacer", _base())
    shortened = _Shortened(known.Abbreviation.ABBREVIATIONS, anywhere=not _asks_for_space(usual))

    class Quick(usual):  # type: ignore[misc]
        def search_for_abbreviations_in_string(self, text: str) -> str:
            if not shortened.may_be_in(text):
                return text
            found: str = super().search_for_abbreviations_in_string(text)
            return found

    return type(known.__name__, (known,), {"AbbreviationReplacer": Quick})


@cache
def abbreviated_words(language: str) -> frozenset[str]:
    """Abbreviations in lower case: after their full stop a sentence may go on."""
    kinds = quick_language(language).Abbreviation
    every = (*kinds.ABBREVIATIONS, *kinds.PREPOSITIVE_ABBREVIATIONS, *kinds.NUMBER_ABBREVIATIONS)
    return frozenset(word.strip().lower() for word in every)


@cache
def unending_words(language: str) -> frozenset[str]:
    """Abbreviations in lower case with which a sentence may go on even if a capital follows."""
    known = quick_language(language)
    if not _asks_for_space(known.AbbreviationReplacer):
        return abbreviated_words(language)
    return frozenset(word.strip().lower() for word in known.Abbreviation.PREPOSITIVE_ABBREVIATIONS)


def has_ordinals(language: str) -> bool:
    """Whether a full stop after a number may make it an ordinal."""
    from pysbd.lang.common import Common

    known = quick_language(language)
    return known.Numbers is not Common.Numbers or hasattr(known, "Processor")


class _Shortened:
    """Whether any abbreviation with its full stop is in a text."""

    def __init__(self, abbreviations: list[str], anywhere: bool) -> None:
        # pysbd takes them as patterns, so that a full stop within one stands for any character.
        words = [word for text in abbreviations if (word := text.strip()) == word.lower()]
        any_of = "|".join(words)
        self._after_space = re.compile(rf"(?:^|\s)(?:{any_of})\.", re.IGNORECASE)
        self._at_start = re.compile(any_of, re.IGNORECASE) if anywhere else None
        self._anywhere = re.compile(rf"(?:{any_of})\.", re.IGNORECASE)

    def may_be_in(self, text: str) -> bool:
        if "." not in text:
            return False
        if self._after_space.search(text):
            return True
        # Some languages take what begins a text for an abbreviation at the end of any word.
        at_start = self._at_start is not None and self._at_start.match(text)
        return bool(at_start and self._anywhere.search(text))


def _base() -> Any:
    from pysbd.abbreviation_replacer import AbbreviationReplacer

    return AbbreviationReplacer


def _asks_for_space(replacer: Any) -> bool:
    base = _base()
    return replacer.scan_for_replacements is base.scan_for_replacements and (
        replacer.replace_period_of_abbr is base.replace_period_of_abbr
    )
