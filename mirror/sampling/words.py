"""Word tokenization by script, without downloads."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from mirror.errors import InputError

Splitter = Callable[[str], list[str]]

APOSTROPHES = "'’ʼ＇"
HYPHENS = "-‐‑"
INNER = APOSTROPHES + HYPHENS + "·" + "׳״" + "\u200c\u200d"
"""Characters inside a word, with Catalan's l·l, Hebrew's geresh and gershayim, and the joiners of
Persian and Indic scripts."""

_START = r"[\p{L}\p{N}]"
_RUN = rf"{_START}[\p{{L}}\p{{N}}\p{{M}}]*+"
_WORD = regex.compile(rf"{_RUN}(?:[{regex.escape(INNER)}]{_RUN})*+")
_LETTER = regex.compile(r"\p{L}")
_SAME = str.maketrans(
    {**dict.fromkeys(APOSTROPHES, "'"), **dict.fromkeys(HYPHENS, "-"), "\u00ad": None}
)

TURKIC = frozenset({"tr", "az", "tur", "aze"})
_TURKIC_LOWER = str.maketrans({"I": "ı", "İ": "i"})
ELIDING = frozenset({"ca", "cat", "fr", "fra", "it", "ita", "oc", "oci"})
"""Languages with elided articles and pronouns: l'eau is two words."""
ELISION = regex.compile(r"^((?:[cdjlmnstv]|qu|jusqu|lorsqu|puisqu|un|\p{L}*[aeou](?:ll|st))')(.+)$")
UNSPACED = {
    "bo": "Tibetan",
    "dz": "Dzongkha",
    "km": "Khmer",
    "khm": "Khmer",
    "lo": "Lao",
    "lao": "Lao",
    "my": "Burmese",
    "mya": "Burmese",
}
"""Languages written without spaces that have no tokenizer here."""


@dataclass(frozen=True)
class Extra:
    """An extra of this package that splits a language into words."""

    name: str
    language: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    load: Callable[[], Splitter]


def word_splitter(language: str) -> Splitter:
    """Return a function from a text to its words: lower-cased, in order, each with a letter.

    Raises:
        InputError: the language needs an extra that is not installed, or has no tokenizer.
    """
    check_words(language)
    extra = EXTRAS.get(language)
    return _alphabetic(language) if extra is None else _segmented(extra.load())


def check_words(language: str) -> None:
    """Raise the errors of `word_splitter` without loading a tokenizer.

    Raises:
        InputError: the language needs an extra that is not installed, or has no tokenizer.
    """
    if language in UNSPACED:
        raise InputError(
            f"{UNSPACED[language]} is written without spaces, and has no tokenizer here: "
            "use a list of words instead (corpus.split_into = 'lines')"
        )
    if extra := EXTRAS.get(language):
        _check_installed(extra)


def word_libraries(language: str) -> tuple[str, ...]:
    """Return distributions whose version can change a language's words.

    Raises:
        InputError: the language needs an extra that is not installed.
    """
    extra = EXTRAS.get(language)
    if extra is None:
        return ("regex",)
    _check_installed(extra)
    return ("regex", *extra.distributions)


def is_word(text: str) -> bool:
    """Return whether a string has a letter."""
    return text.isalpha() or _LETTER.search(text) is not None


def missing_modules(extra: Extra) -> list[str]:
    """Return the modules of an extra that are not installed, without importing any."""
    return [name for name in extra.modules if importlib.util.find_spec(name) is None]


def _check_installed(extra: Extra) -> None:
    if missing := missing_modules(extra):
        raise InputError(
            f"words of {extra.language} need {', '.join(missing)}, which is not installed: "
            f"run `pip install -e .[{extra.name}]`"
        )


def _alphabetic(language: str) -> Splitter:
    turkic, eliding = language in TURKIC, language in ELIDING

    def split(text: str) -> list[str]:
        plain = text.translate(_SAME)
        lower = (plain.translate(_TURKIC_LOWER) if turkic else plain).lower()
        words = [word for word in _WORD.findall(lower) if is_word(word)]
        return [part for word in words for part in _without_elision(word)] if eliding else words

    return split


def _without_elision(word: str) -> list[str]:
    match = ELISION.match(word) if "'" in word else None
    return [match[1], match[2]] if match and is_word(match[2]) else [word]


def _segmented(cut: Splitter) -> Splitter:
    """Return a splitter that also splits the tokenizer's words at punctuation marks."""

    def split(text: str) -> list[str]:
        pieces = (piece for part in cut(text) for piece in _WORD.findall(part.translate(_SAME)))
        return [piece.lower() for piece in pieces if is_word(piece)]

    return split


def _load_jieba() -> Splitter:
    jieba = importlib.import_module("jieba")
    tokenizer = jieba.Tokenizer()
    # jieba's own loading uses a cache in the shared temporary folder.
    with tokenizer.get_dict_file() as dictionary:
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(dictionary)
    tokenizer.initialized = True

    def cut(text: str) -> list[str]:
        words: list[str] = tokenizer.lcut(text)
        return words

    return cut


def _load_fugashi() -> Splitter:
    fugashi: Any = importlib.import_module("fugashi")
    folder = Path(importlib.import_module("unidic_lite").DICDIR)
    tagger = fugashi.GenericTagger(f'-Owakati -r "{folder / "mecabrc"}" -d "{folder}"')
    return lambda text: [word.surface for word in tagger(text)]


def _load_pythainlp() -> Splitter:
    tokenize: Any = importlib.import_module("pythainlp.tokenize")

    def cut(text: str) -> list[str]:
        words: list[str] = tokenize.word_tokenize(text, engine="newmm", keep_whitespace=False)
        return words

    return cut


_ZH = Extra("zh", "Chinese", ("jieba",), ("jieba",), _load_jieba)
_JA = Extra("ja", "Japanese", ("fugashi", "unidic-lite"), ("fugashi", "unidic_lite"), _load_fugashi)
_TH = Extra("th", "Thai", ("pythainlp",), ("pythainlp",), _load_pythainlp)
EXTRAS = {
    **dict.fromkeys(("zh", "zho", "cmn", "yue"), _ZH),
    **dict.fromkeys(("ja", "jpn"), _JA),
    **dict.fromkeys(("th", "tha"), _TH),
}
"""Extras by ISO 639 code; Cantonese uses the Chinese dictionary."""
