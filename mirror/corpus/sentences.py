"""Sentences of a text, by pysbd for the languages it knows and by one rule for all others.

pysbd reads about 500 kB a second, so it is asked only where there is doubt.  Where a word that is
no abbreviation ends in a full stop and another word follows, outside brackets and quotes, there is
none.  pysbd thus sees one sentence at a time where it can, and takes an 18 and a 19 that stand far
apart for no list.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import regex

from mirror.corpus.abbreviations import (
    abbreviated_words,
    has_ordinals,
    quick_language,
    unending_words,
)

Segmenter = Callable[[str], list[str]]

MOST_AT_ONCE = 5_000
"""Characters given to pysbd in one go: some of its patterns take quadratic time."""

_SPACED_ENDS = r".!?…·։؟۔।॥።፧፨⸮‼⁇⁈⁉"
_UNSPACED_ENDS = r"。！？｡︒។៕၊။།༎"
_CLOSERS = r"""["'”’»›)\]}」』】）]"""
_MARKER = r"(?:\p{N}+|\p{L}|[ivxIVX]+)[.)]\s"
"""What may begin an item of a list, which takes two of them."""
_MAY_END = regex.compile(
    rf"[{_SPACED_ENDS}]{_CLOSERS}*\s+\S|(?:^|\s){_MARKER}.*?(?<=\s){_MARKER}|[•⁃]"
    rf"|^[(（].*?\s(?:\p{{N}}+|\p{{L}}+)[.)]\s|[)\]\"”»]\.\p{{Lu}}"
)
_MAY_END_ANYWHERE = regex.compile(rf"[{_SPACED_ENDS}{_UNSPACED_ENDS};:•⁃)]\s*\S")
_MARK = re.compile(rf"[{_SPACED_ENDS}•⁃)]")
"""What `_MAY_END` needs: most sentences have it at their end only, and are spared the rest."""
_OBVIOUS = re.compile(r"[.!?] (?=[^\W\d_])")
_LAST_WORD = regex.compile(r"(?<![\p{L}\p{M}\p{N}.'’]|--)[\p{L}\p{M}\p{N}]{2,}$")
_CLOSING = ')]%"“”»'
MOST_CLOSING = 3
"""Characters of `_CLOSING` between a word and its full stop."""
LEAST_NUMBER = 3
"""Digits of a number that begins no item of a list, so that its full stop ends a sentence."""
_PAIRED = regex.compile(r"""["“”„«»‘‹›()\[\]{}「」]|(?<!\p{L})['’]|['’](?!\p{L})""")
_QUIET = regex.compile(r"""\"[^".!?…]*+\"|“[^“”.!?…]*+”|„[^„“”.!?…]*+[“”]|«[^«».!?…]*+»""")
"""A quotation in which nothing could end."""
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
    ask = _pysbd(language)
    if language not in _CASED:
        return lambda line: ask(line) if _MAY_END_ANYWHERE.search(line) else _cut(line, [])
    find_ends = _obvious_ends(language)

    def split(line: str) -> list[str]:
        pieces = _cut(line, find_ends(line))
        settled = (ask(piece) if _is_doubtful(piece) else [piece] for piece in pieces)
        return [sentence for sentences in settled for sentence in sentences]

    return split


def split_by_rule(line: str) -> list[str]:
    """Splits after `!`, `?`, a full stop and their like, in any script.

    In scripts with spaces, a space must follow and then no lower-case letter; a full stop after a
    digit or a single letter ends nothing.
    """
    ends = [match.end() for match in _RULE.finditer(line)]
    return _cut(line, ends)


def _is_doubtful(piece: str) -> bool:
    return bool(_MARK.search(piece, 0, len(piece) - 1) and _MAY_END.search(piece))


def _obvious_ends(language: str) -> Callable[[str], list[int]]:
    abbreviations, unending = abbreviated_words(language), unending_words(language)
    ordinals = has_ordinals(language)

    def is_obvious(before: str, mark: str, following: str) -> bool:
        capital = following[0].isupper() and following[1:].islower()
        if not (capital or following[1:] == " " or following.isalpha()):
            return False
        closed = before.rstrip(_CLOSING)
        found = _LAST_WORD.search(closed)
        if not found or len(before) - len(closed) > MOST_CLOSING:
            return False
        word = found[0]
        if mark != ".":
            return capital and word.islower() and closed == before
        if word.isnumeric() and closed == before:
            return not ordinals and len(word) >= LEAST_NUMBER
        return word.lower() not in (unending if capital else abbreviations)

    def find(line: str) -> list[int]:
        ends, start = [], 0
        for match in _OBVIOUS.finditer(line):
            at, after = match.span()
            if at - start > MOST_AT_ONCE:  # a bracket that does not close; each look would be long
                break
            before = line[line.rfind(" ", start, at) + 1 : at]
            if is_obvious(before, line[at], line[after : after + 2]) and _balanced(line[start:at]):
                start = after
                ends.append(start)
        return ends

    return find


def _balanced(text: str) -> bool:
    """Whether the brackets in a text close, and no quote with an end within is in it."""
    marks = "".join(_PAIRED.findall(text))
    if '"' in marks or "“" in marks or "«" in marks:
        marks = "".join(_PAIRED.findall(_QUIET.sub("", text)))
    return marks.replace("()", "").replace("[]", "") == ""


def _cut(line: str, ends: list[int]) -> list[str]:
    bounds = zip([0, *ends], [*ends, len(line)], strict=True)
    return [piece for start, end in bounds if (piece := line[start:end].strip())]


def _pysbd(language: str) -> Segmenter:
    import pysbd

    segmenter = pysbd.Segmenter(language=language, clean=False)
    segmenter.language_module = quick_language(language)

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
