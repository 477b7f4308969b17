"""Queries with their answers, for label-free retrieval: a document's own, or its two halves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mirror.corpus.parquet_writer import read_rows
from mirror.corpus_config import find_source
from mirror.recipe import Recipe

LEAST_SENTENCES = 4
"""A document must keep so many to be a passage of two halves."""


class Passage(NamedTuple):
    """A row of `PASSAGES`."""

    document: int
    source: str
    query: str
    answer: str


class PassageFinder:
    """Finds the passages of documents that come in order, some at a time."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        """`folder` holds what documents brought themselves, where the recipe's source has that."""
        section = recipe.corpus
        self._has_halves = not section.is_list
        self._own: Iterator[tuple[Any, ...]] | None = None
        self._next: Passage | None = None
        if find_source(section.source).has_passages:
            self._own = read_rows(folder)
            self._advance()

    def of(self, last: int, kept: pa.Table) -> Iterator[Passage]:
        """Passages of the documents up to `last` that keep anything; `kept` are their strings."""
        if self._own is not None:
            yield from self._own_of(last, kept)
        elif self._has_halves:
            yield from _halves(kept)

    def _own_of(self, last: int, kept: pa.Table) -> Iterator[Passage]:
        documents = set(kept["document"].to_pylist())
        while self._next and self._next.document <= last:
            if self._next.document in documents:
                yield self._next
            self._advance()

    def _advance(self) -> None:
        found = next(self._own, None) if self._own else None
        self._next = Passage(*found) if found else None


def _halves(kept: pa.Table) -> Iterator[Passage]:
    documents, firsts, counts = np.unique(
        kept["document"].to_numpy(), return_index=True, return_counts=True
    )
    long = counts >= LEAST_SENTENCES
    if not long.any():
        return
    texts, sources = kept["text"].to_pylist(), kept["source"].to_pylist()
    places = zip(
        documents[long].tolist(), firsts[long].tolist(), counts[long].tolist(), strict=True
    )
    for document, first, count in places:
        middle, end = first + count // 2, first + count
        query, answer = " ".join(texts[first:middle]), " ".join(texts[middle:end])
        yield Passage(document, sources[first], query, answer)
