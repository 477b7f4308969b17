"""Entity linking: find each mention's concept among the names of a dictionary.

The dictionary has MEDIC's format, one concept a line: `ID|other ID...||name|synonym|...`; all ids
of a line mean one concept.  The corpus has PubTator's format.  Names and mentions are lower-cased.
Unlike BioSyn (Sung et al. 2020), abbreviations are not expanded, spelling is not corrected, and no
mentions of the training part are added to the dictionary.

Composite mentions: `|` and `+` both join ids of which any is right, as in SapBERT's evaluation (Liu
et al. 2021).  Where the corpus names the parts of a composite mention, each part is looked up by
itself, and the mention is right when all of them are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, register_kind
from mirror.evaluation.datasets import find_file, read_lines
from mirror.evaluation.metrics import Predictions, unit_rows
from mirror.evaluation.result import BenchmarkResult, TextEncoder, make_result
from mirror.run_data import RunData

UNLINKABLE = "-1"
DEPTH = 5
"""Rank of the last concept that counts in Acc@5."""
CHUNK = 256
"""Mentions compared with all names at a time; bounds memory."""
_ID_SEPARATORS = re.compile(r"[|+]")


@dataclass(frozen=True)
class Dictionary:
    """Concepts and their names."""

    names: tuple[str, ...]
    """Distinct names in lower case."""
    name_indices: NDArray[np.int64]
    """Indices into `names`: of the first concept's names, then of the second's, and so on."""
    starts: NDArray[np.int64]
    """Where each concept begins in `name_indices`."""
    concepts: dict[str, int]
    """The concept of each id."""

    def names_of(self, concepts: Iterable[int]) -> NDArray[np.int64]:
        """Return the indices of the names of some concepts."""
        ends = np.append(self.starts[1:], len(self.name_indices))
        parts = [self.name_indices[self.starts[concept] : ends[concept]] for concept in concepts]
        return np.concatenate([np.zeros(0, np.int64), *parts])


@dataclass(frozen=True)
class Mention:
    """A mention and its right concepts."""

    parts: tuple[str, ...]
    """Lower-cased texts to look up: the mention itself, or the parts of a composite one."""
    concepts: frozenset[int]
    """The right concepts; empty where the dictionary lacks the id, so that no answer is right."""


@register_kind
class EntityLinkingBenchmark(Benchmark):
    """Mentions and a dictionary of concepts; exact match of names is the baseline."""

    TASK = "entity-linking"
    METRIC = "acc@1"
    EXTRA_METRICS = (f"acc@{DEPTH}",)
    FILE_COUNT = 2

    items: int | None = None
    """Expected number of mentions."""
    types: tuple[str, ...] = ()
    """Types of mentions that are taken; empty: all."""

    def load(self, run: RunData | None) -> tuple[Dictionary, tuple[Mention, ...]]:
        """Return the dictionary and the mentions, in the order of the files.

        Raises:
            BenchmarkError: a file is missing or damaged, or the number of mentions is not the
                declared one.
        """
        dictionary_path, corpus_path = (find_file(self, file) for file in self.files)
        dictionary = read_dictionary(dictionary_path)
        mentions = tuple(read_mentions(corpus_path, dictionary, self.types))
        if not mentions:
            raise BenchmarkError(f"{corpus_path} holds no mention to link: check it, or `types`")
        if self.items is not None and len(mentions) != self.items:
            raise BenchmarkError(
                f"{self.name} holds {len(mentions)} mentions and declares {self.items}: its files "
                "or its definition are wrong"
            )
        return dictionary, mentions

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return Acc@1, with Acc@5 and the score of exact match."""
        dictionary: Dictionary = data[0]
        mentions: tuple[Mention, ...] = data[1]
        lookups = list(
            dict.fromkeys(
                (part, mention.concepts) for mention in mentions for part in mention.parts
            )
        )
        names = unit_rows(encoder.encode(dictionary.names))
        vectors = unit_rows(encoder.encode([part for part, _ in lookups]))
        ranks = concept_ranks(vectors, names, dictionary, [right for _, right in lookups])
        rank_of = dict(zip(lookups, ranks, strict=True))
        worst = np.asarray(
            [np.max([rank_of[part, each.concepts] for part in each.parts]) for each in mentions]
        )
        correct = np.where(np.isnan(worst), np.nan, (worst <= 1).astype(np.float64))
        exact = [is_exact_match(mention, dictionary) for mention in mentions]
        return make_result(
            self,
            Predictions(("",) * len(mentions), correct),
            baselines={"exact match": float(np.mean(exact))},
            extra_metrics={f"acc@{DEPTH}": float((worst <= DEPTH).mean())},
        )


def read_dictionary(path: Path) -> Dictionary:
    """Return the concepts of a file, one a line: `ID|other ID...||name|synonym|...`.

    Lines that share an id are one concept.

    Raises:
        BenchmarkError: a line has no id or no name.
    """
    concepts: dict[str, int] = {}
    names_of: list[dict[str, None]] = []
    for number, line in enumerate(read_lines(path), 1):
        ids, _, listed = line.partition("||")
        new_names = dict.fromkeys(name for name in listed.lower().split("|") if name)
        if not ids or not new_names:
            raise BenchmarkError(f"{path}, line {number}: no `ID||name`: correct the line")
        bare = [_bare(name) for name in ids.split("|")]
        concept = next((concepts[name] for name in bare if name in concepts), len(names_of))
        if concept == len(names_of):
            names_of.append({})
        names_of[concept].update(new_names)
        concepts.update(dict.fromkeys(bare, concept))
    if not names_of:
        raise BenchmarkError(f"{path} holds no concept: get it again")
    names = dict.fromkeys(name for group in names_of for name in group)
    index_of = {name: index for index, name in enumerate(names)}
    name_indices = np.asarray([index_of[name] for group in names_of for name in group])
    starts = np.cumsum([0, *(len(group) for group in names_of[:-1])])
    return Dictionary(tuple(index_of), name_indices, starts, concepts)


def read_mentions(path: Path, dictionary: Dictionary, types: Sequence[str]) -> Iterator[Mention]:
    """Yield the mentions of a corpus in PubTator's format, without those of id -1.

    Args:
        path: the corpus.
        dictionary: maps ids to concepts.
        types: the types of mentions that are taken; empty: all.

    Raises:
        BenchmarkError: a mention's line has too few fields.
    """
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split("\t")
        if len(fields) == 1 or fields[1] == "CID":  # texts and blank lines; relations
            continue
        if len(fields) < 6:
            raise BenchmarkError(f"{path}, line {number} has {len(fields)} fields and needs 6")
        ids = [_bare(name) for name in _ID_SEPARATORS.split(fields[5])]
        if (types and fields[4] not in types) or ids == [UNLINKABLE]:
            continue
        parts = fields[6].split("|") if len(fields) > 6 and fields[6] else [fields[3]]
        known = frozenset(dictionary.concepts[name] for name in ids if name in dictionary.concepts)
        yield Mention(tuple(part.lower() for part in parts), known)


def concept_ranks(
    vectors: NDArray[np.float32],
    names: NDArray[np.float32],
    dictionary: Dictionary,
    right: Sequence[frozenset[int]],
) -> NDArray[np.float64]:
    """Return the rank of the nearest right concept of each text: (texts,).

    A concept's similarity is the highest cosine of its names.  A name that right and wrong
    concepts share counts as right.  A wrong concept of equal similarity ranks before the right
    one, so that a collapsed encoder scores 0.

    Args:
        vectors: unit vectors of the texts to look up, (texts, dimension).
        names: unit vectors of the dictionary's names, (names, dimension).
        dictionary: the concepts of the names.
        right: the right concepts of each text.

    Returns:
        Ranks from 1; infinite where no concept is right, nan where a cosine is not a number.
    """
    ranks = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK):
        for offset, row in enumerate(vectors[start : start + CHUNK] @ names.T):
            right_names = dictionary.names_of(right[start + offset])
            ranks[start + offset] = _rank(row, right_names, dictionary)
    return ranks


def _rank(
    cosines: NDArray[np.float32], right_names: NDArray[np.int64], dictionary: Dictionary
) -> float:
    if np.isnan(cosines).any():
        return np.nan
    if not len(right_names):
        return np.inf
    best = cosines[right_names].max()
    wrong = cosines.copy()
    wrong[right_names] = -np.inf
    similarities = np.maximum.reduceat(wrong[dictionary.name_indices], dictionary.starts)
    return 1.0 + float((similarities >= best).sum())


def is_exact_match(mention: Mention, dictionary: Dictionary) -> bool:
    """Return whether each part of a mention equals a name of a right concept."""
    names = {dictionary.names[index] for index in dictionary.names_of(mention.concepts)}
    return all(part in names for part in mention.parts)


def _bare(name: str) -> str:
    """Return an id without its vocabulary's prefix, such as `MESH:`."""
    return name.strip().rpartition(":")[2]
