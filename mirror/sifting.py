"""What becomes of a document: strings to keep, and rows rejected with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mirror.cleaning import BROKEN, clean_line, clean_text
from mirror.documents import Document
from mirror.languages import foreign_detector
from mirror.recipe import Recipe
from mirror.sentences import split_sentences

EMPTY = "empty"
LEFT_OUT = "left out"
OTHER_LANGUAGE = "other language"
BROKEN_TEXT = "broken characters"
TOO_SHORT = "too short"
TOO_LONG = "too long"


@dataclass(frozen=True)
class Row:
    """One row of the corpus: a string, or a document that gave none."""

    text: str
    fault: str = ""
    """Why it is rejected; empty if it is kept, unless it turns out to be a duplicate."""


@dataclass(frozen=True)
class Sifted:
    """A document's rows, at least one, and its passage if it brings one."""

    source: str
    count: int
    rows: tuple[Row, ...]
    query: str = ""
    answer: str = ""


class Sifter:
    """Sifts documents as a recipe says."""

    def __init__(self, recipe: Recipe) -> None:
        """Loads what its language needs."""
        self._section = recipe.corpus
        self._language = recipe.language
        self._is_list = recipe.corpus.unit == "line" or recipe.corpus.source == "wordfreq"
        self._is_foreign: Callable[[str], bool] | None = None
        if recipe.corpus.check_language and not self._is_list:
            self._is_foreign = foreign_detector(recipe.language)

    def sift(self, document: Document) -> Sifted:
        """The document's rows, in order."""
        source = clean_line(clean_text(document.source))
        text = _valid(document.text) if self._section.verbatim else clean_text(document.text)
        if document.fault:
            return Sifted(source, 1, (Row(clean_line(text), document.fault),))
        if any(part in source for part in self._section.leave_out):
            return Sifted(source, document.count, (Row(clean_line(text), LEFT_OUT),))
        if self._is_foreign and self._is_foreign(clean_line(text)):
            return Sifted(source, document.count, (Row(clean_line(text), OTHER_LANGUAGE),))
        rows = tuple(Row(string, self._fault(string)) for string in self._strings(text))
        query, answer = (clean_line(clean_text(part)) for part in (document.query, document.answer))
        if not query or BROKEN in query + answer:
            query = answer = ""
        return Sifted(source, document.count, rows or (Row("", EMPTY),), query, answer)

    def _strings(self, text: str) -> Iterator[str]:
        if self._section.verbatim:
            yield from filter(None, text.split("\n"))
        elif self._is_list:
            yield from filter(None, map(clean_line, text.split("\n")))
        else:
            lines = "\n".join(map(clean_line, text.split("\n")))
            yield from map(clean_line, split_sentences(lines, self._language))

    def _fault(self, string: str) -> str:
        if BROKEN in string:
            return BROKEN_TEXT
        if len(string) < self._section.min_characters:
            return TOO_SHORT
        if len(string) > self._section.max_characters:
            return TOO_LONG
        return ""


def _valid(text: str) -> str:
    """The text as it is, but for lone surrogates, which are no text and become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
