"""Sentences of a text, by pysbd for the languages it knows and by one rule for all others.

pysbd reads about 150 kB a second, so it is asked only where there is doubt.  Where a long
lower-case word that is no abbreviation ends in a full stop and a capital follows, outside brackets
and quotes, there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import regex

Segmenter = Callable[[str], list[str]]

MOST_AT_ONCE = 5_000
"""Characters given to pysbd in one go: some of its patterns take quadratic time."""

_SPACED_ENDS = r".!?…·։؟۔।॥።፧፨⸮‼⁇⁈⁉"
_UNSPACED_ENDS = r"。！？｡︒។៕၊။།༎"
_CLOSERS = r"""["'”’»›)\]}」』】）]"""
_MAY_END = regex.compile(
    rf"[{_SPACED_ENDS}]{_CLOSERS}*\s+\S|(?:^|\s)(?:\p{{N}}+|\p{{L}}+)[.)]\s|[•⁃]"
)
_MAY_END_ANYWHERE = regex.compile(rf"[{_SPACED_ENDS}{_UNSPACED_ENDS};:•⁃)]\s*\S")
_OBVIOUS = regex.compile(r"(?<![\p{L}\p{M}\p{N}.'’-])(\p{Ll}{3,})[.!?] (?=\p{Lu}\p{Ll}|\p{Lu} )")
_PAIRED = regex.compile(r"""["“”„«»‘‹›()\[\]{}「」]|(?<!\p{L})['’]|['’](?!\p{L})""")
_RULE = regex.compile(
    rf"(?:[!?…։؟۔।॥።፧⸮‼⁇⁈⁉]|\.(?<!\b\p{{L}}\.)(?<!\p{{N}}\.))+{_CLOSERS}*\s+(?!\p{{Ll}})"
    rf"|[{_UNSPACED_ENDS}]+{_CLOSERS}*\s*"
)
_CASED = frozenset("bg da de en es fr it kk nl pl ru sk".split())  # noqa: SIM905
"""pysbd's languages whose script has capitals."""


def split_sentences(text: str, language: str) -> list[str]:
    """The sentences of a text in order; a line's end always ends one."""
    split = sentence_splitter(language)
    return [sentence for line in text.split("\n") if line.strip() for sentence in split(line)]


@cache
def sentence_splitter(language: str) -> Segmenter:
    """How a line of that language falls into sentences."""
    from pysbd.languages import LANGUAGE_CODES

    if language not in LANGUAGE_CODES:
        return split_by_rule
    ask, doubt = _pysbd(language), _MAY_END_ANYWHERE
    abbreviations: frozenset[str] | None = None
    if language in _CASED:
        doubt, abbreviations = _MAY_END, _abbreviations(language)

    def split(line: str) -> list[str]:
        pieces = [line] if abbreviations is None else _split_obvious(line, abbreviations)
        settled = (ask(piece) if doubt.search(piece) else _cut(piece, []) for piece in pieces)
        return [sentence for sentences in settled for sentence in sentences]

    return split


def split_by_rule(line: str) -> list[str]:
    """Splits after `!`, `?`, a full stop and their like, in any script.

    In scripts with spaces, a space must follow and then no lower-case letter; a full stop after a
    digit or a single letter ends nothing.
    """
    ends = [match.end() for match in _RULE.finditer(line)]
    return _cut(line, ends)


def _split_obvious(line: str, abbreviations: frozenset[str]) -> list[str]:
    ends, start = [], 0
    for match in _OBVIOUS.finditer(line):
        if match[1] not in abbreviations and _balanced(line[start : match.end()]):
            start = match.end()
            ends.append(start)
    return _cut(line, ends)


def _balanced(text: str) -> bool:
    """Whether the brackets in a text close, and no quote is in it."""
    marks = "".join(_PAIRED.findall(text))
    return marks.replace("()", "").replace("[]", "") == ""


def _cut(line: str, ends: list[int]) -> list[str]:
    bounds = zip([0, *ends], [*ends, len(line)], strict=True)
    return [piece for start, end in bounds if (piece := line[start:end].strip())]


def _pysbd(language: str) -> Segmenter:
    import pysbd

    segmenter = pysbd.Segmenter(language=language, clean=False)

    def split(piece: str) -> list[str]:
        if len(piece) > MOST_AT_ONCE:
            return split_by_rule(piece)
        try:
            # Not `segment`, which looks each sentence up in the text again, for half as long again.
            found = [sentence.strip() for sentence in segmenter.processor(piece).process()]
        except (IndexError, re.error, ValueError, TypeError):
            return split_by_rule(piece)
        # It marks places with symbols of its own, and some texts make it lose or leave one.
        if "".join("".join(found).split()) != "".join(piece.split()):
            return split_by_rule(piece)
        return [sentence for sentence in found if sentence]

    return split


def _abbreviations(language: str) -> frozenset[str]:
    from pysbd.languages import LANGUAGE_CODES

    known = LANGUAGE_CODES[language].Abbreviation
    every = (*known.ABBREVIATIONS, *known.PREPOSITIVE_ABBREVIATIONS, *known.NUMBER_ABBREVIATIONS)
    return frozenset(word.lower() for word in every)
