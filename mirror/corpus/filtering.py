"""Filtering of documents: cleaning, splitting, and a reason for each rejected row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from mirror.corpus.cleaning import BROKEN, clean_line, clean_text
from mirror.corpus.language_id import foreign_detector
from mirror.corpus.reasons import (
    BROKEN_TEXT,
    EMPTY,
    LEFT_OUT,
    OTHER_LANGUAGE,
    TOO_LONG,
    TOO_SHORT,
)
from mirror.corpus.sentences import split_sentences
from mirror.documents import Document, Title
from mirror.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa

MAX_REJECT = 200
"""Most characters stored of a rejected row."""


@dataclass(frozen=True)
class FilteredDocuments:
    """Rows of a batch of documents, which are numbered from 0."""

    sources: list[str]
    counts: list[int]
    lengths: list[int]
    """Rows of each document, at least one."""
    texts: list[str]
    reasons: list[str]
    """For each row, empty if it passes."""
    digests: bytes
    """16 bytes for each row that passes."""
    titles: tuple[Title, ...]

    @property
    def documents(self) -> int:
        """The number of documents."""
        return len(self.lengths)

    @cached_property
    def rows(self) -> pa.RecordBatch:
        """All rows, as `CANDIDATES`."""
        # Processes that filter do without these libraries: 0.5 s and 80 MB each.
        import numpy as np
        import pyarrow as pa

        from mirror.corpus.parquet_writer import CANDIDATES

        each = np.array(self.lengths)
        documents = np.repeat(np.arange(len(each)), each)
        firsts = np.repeat(np.cumsum(each) - each, each)
        columns = [
            pa.array(self.texts, pa.string()),
            pa.array(self.sources, pa.string()).take(pa.array(documents)),
            pa.array(documents, pa.int64()),
            pa.array(np.arange(len(documents)) - firsts, pa.int32()),
            pa.array(np.repeat(np.array(self.counts, np.int64), each), pa.int64()),
            pa.array(self.reasons, pa.string()),
        ]
        return pa.record_batch(columns, schema=CANDIDATES)


class DocumentFilter:
    """Filter of documents by a recipe's `[corpus]`."""

    def __init__(self, recipe: Recipe) -> None:
        """Load the language model if the recipe checks the language."""
        self._section = recipe.corpus
        self._language = recipe.language
        self._is_list = recipe.corpus.is_list
        self._are_foreign: Callable[[Sequence[str]], list[bool]] | None = None
        if recipe.corpus.check_language and not self._is_list:
            self._are_foreign = foreign_detector(recipe.language)

    def filter(self, documents: Sequence[Document]) -> FilteredDocuments:
        """Return the documents' rows in order; each document is filtered independently."""
        clean = _valid if self._section.keep_raw else clean_text
        texts = [clean(document.text) for document in documents]
        sources = [_clean_source(document.source) for document in documents]
        faults = self._faults_of(documents, sources, texts)
        rows, reasons, lengths = list[str](), list[str](), list[int]()
        for text, fault in zip(texts, faults, strict=True):
            strings = [clean_line(text)] if fault else self._strings(text) or [""]
            row_reasons = [fault or self._fault(string) for string in strings]
            rows += [
                string[:MAX_REJECT] if reason else string
                for string, reason in zip(strings, row_reasons, strict=True)
            ]
            reasons += row_reasons
            lengths.append(len(strings))
        passed = (row for row, reason in zip(rows, reasons, strict=True) if not reason)
        counts = [1 if document.fault else document.occurrences for document in documents]
        return FilteredDocuments(
            sources,
            counts,
            lengths,
            rows,
            reasons,
            text_digests(passed),
            tuple(_titles(documents, faults)),
        )

    def _faults_of(
        self, documents: Sequence[Document], sources: list[str], texts: list[str]
    ) -> list[str]:
        """Return why each document is rejected as a whole; empty if it is not."""
        faults = [
            document.fault or (LEFT_OUT if self._leaves_out(source) else "")
            for document, source in zip(documents, sources, strict=True)
        ]
        if self._are_foreign:
            passed = [number for number, fault in enumerate(faults) if not fault]
            foreign = self._are_foreign([clean_line(texts[number]) for number in passed])
            for number, is_foreign in zip(passed, foreign, strict=True):
                faults[number] = OTHER_LANGUAGE if is_foreign else ""
        return faults

    def _leaves_out(self, source: str) -> bool:
        return any(part in source for part in self._section.exclude_sources)

    def _strings(self, text: str) -> list[str]:
        lines = text.split("\n")
        if self._section.keep_raw:
            return [line for line in lines if line]
        lines = [line for line in map(clean_line, lines) if line]
        if self._is_list:
            return lines
        return split_sentences("\n".join(lines), self._language)

    def _fault(self, string: str) -> str:
        if not string:
            return EMPTY
        if BROKEN in string:
            return BROKEN_TEXT
        if len(string) < self._section.min_characters:
            return TOO_SHORT
        if len(string) > self._section.max_characters:
            return TOO_LONG
        return ""


def text_digests(texts: Iterable[str]) -> bytes:
    """Return the BLAKE2b digests of texts, 16 bytes each, joined."""
    return b"".join([blake2b(text.encode(), digest_size=16).digest() for text in texts])


def _titles(documents: Sequence[Document], faults: list[str]) -> Iterator[Title]:
    for number, (document, fault) in enumerate(zip(documents, faults, strict=True)):
        if document.title and not fault:
            title, body = map(clean_line, map(clean_text, (document.title, document.body)))
            if title and body and BROKEN not in title + body:
                yield Title(number, title, body)


@lru_cache(maxsize=1_000)
def _clean_source(source: str) -> str:
    return clean_line(clean_text(source))


def _valid(text: str) -> str:
    """Return the text unchanged, except that lone surrogates become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
