"""Entity linking: mentions of a corpus look for their concept among a dictionary's names.

The dictionary is MEDIC's, a concept a line: `ID|other ID...||name|synonym|...`; all its ids are
one concept.  The corpus is in PubTator's format.  Both sides are lower-cased, and nothing else is
done to them: no abbreviation is spelt out, no spelling mended, no mention of a training part added
to the dictionary, as BioSyn (Sung et al. 2020) does all three.

Composite mentions: `|` and `+` both join ids of which any is right, as in SapBERT's evaluation (Liu
et al. 2021).  Where the corpus names the parts of a composite mention, each is looked up on its
own and the mention is right when all of them are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition, find_file
from mirror.evaluation.datasets import read_lines
from mirror.evaluation.kinds.retrieval import unit_rows
from mirror.evaluation.metrics import Predictions
from mirror.evaluation.result import BenchmarkResult, TextEncoder, make_result

UNLINKABLE = "-1"
DEPTH = 5
"""Concepts that Acc@5 looks at."""
CHUNK = 256
"""Mentions compared with all names at a time; bounds memory."""
_ID_JOINTS = re.compile(r"[|+]")


@dataclass(frozen=True)
class Dictionary:
    """Concepts and their names."""

    names: tuple[str, ...]
    """All different names, in lower case."""
    members: NDArray[np.int64]
    """The names of the first concept, then of the second, and so on, as places in `names`."""
    starts: NDArray[np.int64]
    """Where each concept's names begin in `members`."""
    concepts: dict[str, int]
    """The concept of each id."""

    def named(self, right: Iterable[int]) -> NDArray[np.int64]:
        """The names of some concepts, as places in `names`."""
        ends = np.append(self.starts[1:], len(self.members))
        parts = [self.members[self.starts[concept] : ends[concept]] for concept in right]
        return np.concatenate([np.zeros(0, np.int64), *parts])


@dataclass(frozen=True)
class Mention:
    """A mention, and what it means."""

    parts: tuple[str, ...]
    """What is looked up, in lower case: the mention itself, or the parts of a composite one."""
    concepts: frozenset[int]
    """The right concepts; none where the dictionary has no such id, so that nothing is right."""


def score_linking(encoder: TextEncoder, definition: Definition) -> BenchmarkResult:
    """Acc@1, beside it Acc@5, and what exact match of names finds.

    Raises:
        BenchmarkError: a file is missing or damaged, or the vectors are not numbers.
    """
    dictionary, mentions = load_linking(definition)
    lookups = list(
        dict.fromkeys((part, mention.concepts) for mention in mentions for part in mention.parts)
    )
    names = unit_rows(encoder.encode(dictionary.names))
    vectors = unit_rows(encoder.encode([part for part, _ in lookups]))
    ranks = concept_ranks(vectors, names, dictionary, [right for _, right in lookups])
    rank_of = dict(zip(lookups, ranks, strict=True))
    worst = np.asarray(
        [
            np.max([rank_of[part, mention.concepts] for part in mention.parts])
            for mention in mentions
        ]
    )
    found = np.where(np.isnan(worst), np.nan, (worst <= 1).astype(np.float64))
    exact = [exactly_named(mention, dictionary) for mention in mentions]
    return make_result(
        definition,
        Predictions(("",) * len(mentions), found),
        baselines={"exact match": float(np.mean(exact))},
        extra_metrics={f"acc@{DEPTH}": float((worst <= DEPTH).mean())},
    )


def load_linking(definition: Definition) -> tuple[Dictionary, tuple[Mention, ...]]:
    """The dictionary and the mentions of a linking benchmark, in the order of its files.

    Raises:
        BenchmarkError: a file is missing or damaged, or the number of mentions is not the declared
            one.
    """
    dictionary_path, corpus_path = (find_file(definition, file) for file in definition.files)
    dictionary = read_dictionary(dictionary_path)
    mentions = tuple(read_mentions(corpus_path, dictionary, definition.types))
    if not mentions:
        raise BenchmarkError(f"{corpus_path} holds no mention to link: check it, or `types`")
    if definition.items is not None and len(mentions) != definition.items:
        raise BenchmarkError(
            f"{definition.name} holds {len(mentions)} mentions and declares {definition.items}: "
            "its files or its definition are wrong"
        )
    return dictionary, mentions


def read_dictionary(path: Path) -> Dictionary:
    """Reads concepts, a line each, as `ID|other ID...||name|synonym|...`; lines may share an id.

    Raises:
        BenchmarkError: a line has no id or no name.
    """
    concepts: dict[str, int] = {}
    names_of: list[dict[str, None]] = []
    for number, line in enumerate(read_lines(path), 1):
        ids, _, listed = line.partition("||")
        own = dict.fromkeys(name for name in listed.lower().split("|") if name)
        if not ids or not own:
            raise BenchmarkError(f"{path}, line {number}: no `ID||name`")
        bare = [_bare(name) for name in ids.split("|")]
        concept = next((concepts[name] for name in bare if name in concepts), len(names_of))
        if concept == len(names_of):
            names_of.append({})
        names_of[concept].update(own)
        concepts.update(dict.fromkeys(bare, concept))
    if not names_of:
        raise BenchmarkError(f"{path} holds no concept: get it again")
    names = dict.fromkeys(name for own in names_of for name in own)
    places = {name: place for place, name in enumerate(names)}
    members = np.asarray([places[name] for own in names_of for name in own])
    starts = np.cumsum([0, *(len(own) for own in names_of[:-1])])
    return Dictionary(tuple(places), members, starts, concepts)


def read_mentions(path: Path, dictionary: Dictionary, types: Sequence[str]) -> Iterator[Mention]:
    """Reads the mentions of a corpus in PubTator's format, those with id -1 left out.

    Args:
        path: the corpus.
        dictionary: gives concepts to ids.
        types: the kinds of mentions that are taken; all if there are none.

    Raises:
        BenchmarkError: a mention's line has too few fields.
    """
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split("\t")
        if len(fields) == 1 or fields[1] == "CID":  # texts and blank lines; relations
            continue
        if len(fields) < 6:
            raise BenchmarkError(f"{path}, line {number} has {len(fields)} fields and needs 6")
        ids = [_bare(name) for name in _ID_JOINTS.split(fields[5])]
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
    """The rank of the nearest right concept; a concept is as near as its nearest name.

    A name that right and wrong concepts share counts as right, for no vector can tell them apart.
    A wrong concept that another name brings as near as the right one is put before it, so that
    equal vectors earn nothing.

    Args:
        vectors: of what is looked up, (texts, width), of length 1.
        names: (names, width), of length 1.
        dictionary: which concept each name is of.
        right: the right concepts of each text.

    Returns:
        (texts,): infinite where no concept is right, nan where the vector is no number.
    """
    ranks = np.empty(len(vectors))
    for start in range(0, len(vectors), CHUNK):
        for offset, row in enumerate(vectors[start : start + CHUNK] @ names.T):
            own = dictionary.named(right[start + offset])
            ranks[start + offset] = _rank(row, own, dictionary)
    return ranks


def _rank(cosines: NDArray[np.float32], own: NDArray[np.int64], dictionary: Dictionary) -> float:
    if np.isnan(cosines).any():
        return np.nan
    if not len(own):
        return np.inf
    best = cosines[own].max()
    rivals = cosines.copy()
    rivals[own] = -np.inf
    nearness = np.maximum.reduceat(rivals[dictionary.members], dictionary.starts)
    return 1.0 + float((nearness >= best).sum())


def exactly_named(mention: Mention, dictionary: Dictionary) -> bool:
    """Whether each part of a mention is, letter for letter, a name of a right concept."""
    named = {dictionary.names[place] for place in dictionary.named(mention.concepts)}
    return all(part in named for part in mention.parts)


def _bare(name: str) -> str:
    """An id without the vocabulary's name before it."""
    return name.strip().rpartition(":")[2]
