"""Validation while tuning: parts of documents that are not tuned on find each other.

Scores need no labels; they choose the checkpoint and the share of tuned weights.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mirror.evaluation.metrics import cosine_scores, reciprocal_ranks
from mirror.evaluation.result import TextEncoder
from mirror.tuning.items import DocumentItem, Item, crops

log = logging.getLogger(__name__)

FEWEST_PAIRS = 20
"""Queries below which a set is left out."""
LARGEST_SHARE = 0.1
"""Share of the documents that validation may take."""


@dataclass(frozen=True)
class ValidationSet:
    """Queries and their answers, by kind: `titles`, `crops` and `halves`."""

    pairs: Mapping[str, Sequence[tuple[str, str]]]
    documents: int = 0

    def score(self, encoder: TextEncoder) -> dict[str, float]:
        """Return MRR@10 of each kind, and their mean as `mean`."""
        texts = sorted({text for pairs in self.pairs.values() for pair in pairs for text in pair})
        rows = {text: row for row, text in enumerate(texts)}
        vectors = encoder.encode(texts)
        scores = {}
        for kind, pairs in self.pairs.items():
            queries, answers = (vectors[[rows[pair[side]] for pair in pairs]] for side in (0, 1))
            ranks = reciprocal_ranks(cosine_scores(queries, answers))
            scores[kind] = float(np.nan_to_num(ranks).mean())
        return {**scores, "mean": float(np.mean(list(scores.values())))}


def split_validation(
    items: Sequence[Item], count: int, longest: int
) -> tuple[list[Item], ValidationSet | None]:
    """Return the items that are tuned on, and the validation set of the others.

    Documents are chosen by a hash of their first sentence, whatever their order.

    Args:
        items: strings, pairs and documents.
        count: documents of the validation set; a tenth of all documents at most.
        longest: the most sentences of a crop.

    Returns:
        All items and None, with a warning, if there are too few documents for 20 queries.
    """
    hashes = {
        index: hashlib.md5(item.sentences[0].encode(), usedforsecurity=False).digest()
        for index, item in enumerate(items)
        if isinstance(item, DocumentItem) and len(item.sentences) > 1
    }
    asked, count = count, min(count, int(LARGEST_SHARE * len(hashes)))
    chosen = set(sorted(hashes, key=lambda index: (hashes[index], index))[:count])
    documents = [item for index, item in enumerate(items) if index in chosen]
    queries = {
        "titles": _titles(documents),
        "crops": _crops(documents, longest),
        "halves": _halves(documents),
    }
    pairs = {kind: _distinct(found) for kind, found in queries.items()}
    pairs = {kind: found for kind, found in pairs.items() if len(found) >= FEWEST_PAIRS}
    if not pairs:
        if asked:
            log.warning(
                "too few documents of several sentences to validate on: the last weights are "
                "kept, unmerged, and a guard does not limit them"
            )
        return list(items), None
    tuned_on = [item for index, item in enumerate(items) if index not in chosen]
    return tuned_on, ValidationSet(pairs, len(documents))


def _titles(documents: Sequence[Item]) -> Iterator[tuple[str, str]]:
    for document in documents:
        if isinstance(document, DocumentItem) and document.title:
            yield document.title, document.body


def _crops(documents: Sequence[Item], longest: int) -> Iterator[tuple[str, str]]:
    for document in documents:
        yield crops(document.texts, longest, random.Random(f"validation {document.texts[0]}"))


def _halves(documents: Sequence[Item]) -> Iterator[tuple[str, str]]:
    for document in documents:
        sentences, half = document.texts, len(document.texts) // 2
        yield " ".join(sentences[:half]), " ".join(sentences[half:])


def _distinct(pairs: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs whose query and answer no earlier pair has."""
    seen: set[str] = set()
    distinct = []
    for pair in pairs:
        if pair[0] != pair[1] and not seen.intersection(pair):
            distinct.append(pair)
            seen.update(pair)
    return distinct
