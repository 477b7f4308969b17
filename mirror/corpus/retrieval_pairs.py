"""Retrieval pairs for label-free evaluation: queries and answers of documents, or their halves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mirror.corpus.parquet_writer import read_rows
from mirror.corpus_config import find_source
from mirror.recipe import Recipe

MIN_SENTENCES = 4
"""Fewest accepted sentences of a document that is split into halves."""


class Passage(NamedTuple):
    """A row of `PASSAGES`."""

    document: int
    source: str
    query: str
    answer: str


class PassageFinder:
    """Passages of a corpus, whose documents are given in order, a batch at a time."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        """Open `folder`, which has the passages of documents if the recipe's source gives any."""
        section = recipe.corpus
        self._has_halves = not section.is_list
        self._given: Iterator[tuple[Any, ...]] | None = None
        self._next: Passage | None = None
        if find_source(section.source).has_passages:
            self._given = read_rows(folder)
            self._advance()

    def of(self, last: int, accepted: pa.Table) -> Iterator[Passage]:
        """Yield passages of documents up to `last` that have rows in `accepted`."""
        if self._given is not None:
            yield from self._given_passages(last, accepted)
        elif self._has_halves:
            yield from _halves(accepted)

    def _given_passages(self, last: int, accepted: pa.Table) -> Iterator[Passage]:
        documents = set(accepted["document"].to_pylist())
        while self._next and self._next.document <= last:
            if self._next.document in documents:
                yield self._next
            self._advance()

    def _advance(self) -> None:
        row = next(self._given, None) if self._given else None
        self._next = Passage(*row) if row else None


def _halves(accepted: pa.Table) -> Iterator[Passage]:
    documents, firsts, counts = np.unique(
        accepted["document"].to_numpy(), return_index=True, return_counts=True
    )
    long = counts >= MIN_SENTENCES
    if not long.any():
        return
    texts, sources = accepted["text"].to_pylist(), accepted["source"].to_pylist()
    long_documents = zip(
        documents[long].tolist(), firsts[long].tolist(), counts[long].tolist(), strict=True
    )
    for document, first, count in long_documents:
        middle, end = first + count // 2, first + count
        query, answer = " ".join(texts[first:middle]), " ".join(texts[middle:end])
        yield Passage(document, sources[first], query, answer)
