"""Bilingual lexicon induction: words of one language look for their translations in another.

An orthogonal map from one encoder's space to the other's is found on a training dictionary and
tried on a test dictionary (Xing et al. 2015; Glavaš et al. 2019).
Vectors are first brought to length 1, centred on the mean of all words of their language, and
brought to length 1 again (Artetxe et al. 2018); the whitening and re-weighting of that paper are
left out.  The mean is over the words of both dictionaries, which takes no label from the test.

Each test word looks among all target words of both dictionaries, by CSLS (Conneau et al. 2018).
Published scores search the whole vocabulary of their embeddings, which is harder.
"""

from __future__ import annotations

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

Vectors = NDArray[np.float32]

NEIGHBOURS = 10
"""Of CSLS (its k)."""
CHUNK = 1_000
"""Words compared with all of the other language at a time; bounds memory."""


@dataclass(frozen=True)
class Lexicon:
    """Two dictionaries, as places in lists of words."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    training: NDArray[np.int64]
    """(pairs, 2): places of source and target."""
    test: tuple[tuple[int, frozenset[int]], ...]
    """Each source word and all its translations."""


def score_lexicon(
    encoder: TextEncoder, definition: Definition, other: TextEncoder | None = None
) -> BenchmarkResult:
    """Acc@1 of the mapped test words.

    Args:
        encoder: of the first language, and of the second if there is no other.
        definition: the benchmark.
        other: of the second language.

    Raises:
        BenchmarkError: a file is missing or damaged, or the vectors are not numbers.
    """
    lexicon = load_lexicon(definition)
    sources = encoder.encode(lexicon.sources)
    targets = (other or encoder).encode(lexicon.targets)
    _check_numbers(definition, sources, targets)
    mapped = map_spaces(sources, targets, lexicon.training)
    found = precision_at_1_csls(*mapped, lexicon.test)
    return make_result(definition, Predictions(("",) * len(found), found))


def load_lexicon(definition: Definition) -> Lexicon:
    """The dictionaries of a lexicon benchmark: first the one to learn from, then the test.

    Raises:
        BenchmarkError: a file is missing, or a line is not two words; or the number of test words
            is not the declared one.
    """
    training, test = (_read_pairs(find_file(definition, file)) for file in definition.files)
    pairs = training + test
    sources, targets = (
        {word: place for place, word in enumerate(dict.fromkeys(pair[side] for pair in pairs))}
        for side in (0, 1)
    )
    translations: dict[int, set[int]] = {}
    for source, target in test:
        translations.setdefault(sources[source], set()).add(targets[target])
    if definition.items is not None and len(translations) != definition.items:
        raise BenchmarkError(
            f"{definition.name} holds {len(translations)} test words and declares "
            f"{definition.items}: its files or its definition are wrong"
        )
    return Lexicon(
        tuple(sources),
        tuple(targets),
        np.asarray([(sources[a], targets[b]) for a, b in training]),
        tuple((source, frozenset(own)) for source, own in translations.items()),
    )


def map_spaces(
    sources: Vectors, targets: Vectors, training: NDArray[np.int64]
) -> tuple[Vectors, Vectors]:
    """Both languages' vectors in one space, by orthogonal Procrustes on the training pairs.

    With XᵀZ = USVᵀ the sources are turned by U and the targets by V, which gives the cosines of
    the sources turned by UVᵀ, the orthogonal map that brings training pairs nearest (Schönemann
    1966), and leaves the spaces' widths free to differ.

    Args:
        sources: (source words, width).
        targets: (target words, its own width).
        training: (pairs, 2), places of source and target.

    Returns:
        Vectors of length 1, as wide as the narrower space.
    """
    x, z = _normalise(sources), _normalise(targets)
    crossed = x[training[:, 0]].T.astype(np.float64) @ z[training[:, 1]]
    left, _, right = np.linalg.svd(crossed, full_matrices=False)
    turned = (x @ left).astype(np.float32), (z @ right.T).astype(np.float32)
    return np.nan_to_num(unit_rows(turned[0])), np.nan_to_num(unit_rows(turned[1]))


def precision_at_1_csls(
    sources: Vectors, targets: Vectors, test: tuple[tuple[int, frozenset[int]], ...]
) -> NDArray[np.float64]:
    """Of each test word 1 if a translation is nearer than all other words by CSLS, else 0.

    A wrong word that is as near as a translation makes it wrong, so that equal vectors earn
    nothing.

    Args:
        sources: of all source words, mapped, of length 1.
        targets: of all target words, of length 1.
        test: places of the source word and of its translations.
    """
    density = _density(targets, sources)
    found = np.empty(len(test))
    for start in range(0, len(test), CHUNK):
        part = test[start : start + CHUNK]
        cosines = sources[[source for source, _ in part]] @ targets.T
        for offset, (row, (_, right)) in enumerate(zip(cosines, part, strict=True)):
            # The source word's own density is the same for all targets, and so left out.
            nearness = 2 * row.astype(np.float64) - density
            places = sorted(right)
            best = nearness[places].max()
            nearness[places] = -np.inf
            found[start + offset] = float(best > nearness.max())
    return found


def _density(words: Vectors, others: Vectors) -> NDArray[np.float64]:
    """Mean cosine of each word with its ten nearest of the other language: (words,)."""
    count = min(NEIGHBOURS, len(others))
    means = []
    for start in range(0, len(words), CHUNK):
        cosines = words[start : start + CHUNK] @ others.T
        nearest = np.partition(cosines, len(others) - count, axis=1)[:, -count:]
        means.append(nearest.mean(axis=1, dtype=np.float64))
    return np.concatenate(means)


def _normalise(vectors: Vectors) -> Vectors:
    unit = unit_rows(vectors)
    # A word at the mean has no direction: near nothing, and no number in the map's way.
    return np.nan_to_num(unit_rows(unit - unit.mean(axis=0)))


def _check_numbers(definition: Definition, *spaces: Vectors) -> None:
    for vectors in spaces:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise BenchmarkError(
                f"an encoder gives vectors of zeros or nan for words of {definition.name}: tune it "
                "again with a lower learning rate"
            )
        if np.ptp(vectors, axis=0).max() == 0:
            raise BenchmarkError(
                f"an encoder gives all words of {definition.name} the same vector: it has collapsed"
            )


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        words = line.split("\t")
        if len(words) != 2 or not all(words):
            raise BenchmarkError(f"{path}, line {number}: not two words, separated by a tab")
        pairs.append((words[0], words[1]))
    if not pairs:
        raise BenchmarkError(f"{path} holds no pair of words: get it again")
    return pairs
