"""Sentences of a text, by pysbd for the languages it knows and by one rule for all others.

pysbd reads about 150 kB a second, so it is asked only where there is doubt.  Where a long
lower-case word that is no abbreviation ends in a full stop and a capital follows, outside brackets
and quotes, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import regex

Segmenter = Callable[[str], list[str]]

MOST_AT_ONCE = 5_000
"""Characters given to pysbd in one go: some of its patterns take quadratic time."""

_SPACED_ENDS = r".!?…;·։؟۔।॥።፧፨⸮‼⁇⁈⁉"
_UNSPACED_ENDS = r"。！？｡︒។៕၊။།༎"
_CLOSERS = r"""["'”’»›)\]}」』】）]"""
_MAY_END = regex.compile(rf"[{_SPACED_ENDS}:](?=.*\S)|[{_UNSPACED_ENDS}](?=.*\S)")
_OBVIOUS = regex.compile(r"(?<![\p{L}\p{M}\p{N}.'’-])(\p{Ll}{3,})[.!?] (?=\p{Lu}\p{Ll}|\p{Lu} )")
_PAIRED = regex.compile(r"""["“”„«»‘‹›()\[\]{}「」]|(?<!\p{L})['’]|['’](?!\p{L})""")
_RULE = regex.compile(
    rf"(?:[!?…։؟۔।॥።፧⸮‼⁇⁈⁉]|\.(?<!\b\p{{L}}\.)(?<!\p{{N}}\.))+{_CLOSERS}*\s+(?!\p{{Ll}})"
    rf"|[{_UNSPACED_ENDS}]+{_CLOSERS}*\s*"
)
_CASED = frozenset(
    ["bg", "da", "de", "el", "en", "es", "fr", "hy", "it", "kk", "nl", "pl", "ru", "sk"]
)
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
    doubtful = _pysbd(language)
    obvious = _abbreviations(language) if language in _CASED else None

    def split(line: str) -> list[str]:
        pieces = [line] if obvious is None else _split_obvious(line, obvious)
        return [sentence for piece in pieces for sentence in _settle(piece, doubtful)]

    return split


def split_by_rule(line: str) -> list[str]:
    """Splits after `!`, `?`, a full stop and their like, in any script.

    In scripts with spaces, a space must follow and then no lower-case letter; a full stop after a
    digit or a single letter ends nothing.
    """
    ends = [match.end() for match in _RULE.finditer(line)]
    return _cut(line, ends)


def _settle(piece: str, doubtful: Segmenter) -> list[str]:
    if not _MAY_END.search(piece):
        return _cut(piece, [])
    if len(piece) > MOST_AT_ONCE:
        return split_by_rule(piece)
    return doubtful(piece)


def _split_obvious(line: str, abbreviations: frozenset[str]) -> list[str]:
    ends, depth_from = [], 0
    for match in _OBVIOUS.finditer(line):
        if match[1] in abbreviations:
            continue
        if not _PAIRED.search(line, depth_from, match.end()) or _balanced(
            line[depth_from : match.end()]
        ):
            ends.append(match.end())
            depth_from = match.end()
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
        try:
            found = [sentence.strip() for sentence in segmenter.segment(piece)]
        except (IndexError, regex.error, ValueError, TypeError):
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
