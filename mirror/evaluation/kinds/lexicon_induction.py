"""Bilingual lexicon induction: find each word's translation by an orthogonal map of embeddings.

The map is learned on a training dictionary and evaluated on a test dictionary (Xing et al. 2015;
Glavaš et al. 2019).  Vectors are scaled to length 1, centred on the mean of their language's words
in both dictionaries, and scaled again (Artetxe et al. 2018); that paper's whitening and
re-weighting are left out.  No test translation is used before scoring.

Each test word is compared by CSLS (Conneau et al. 2018) with all target words of both dictionaries.
Published scores search the whole vocabulary of their embeddings, which is harder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, register_kind
from mirror.evaluation.datasets import find_file, read_lines
from mirror.evaluation.metrics import Predictions, check_vectors, unit_rows
from mirror.evaluation.result import BenchmarkResult, TextEncoder, make_result
from mirror.run_data import RunData

Vectors = NDArray[np.float32]

NEIGHBOURS = 10
"""k of CSLS."""
CHUNK = 1_000
"""Words compared with all of the other language at a time; bounds memory."""


@dataclass(frozen=True)
class Lexicon:
    """A training and a test dictionary, as indices into lists of words."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    training: NDArray[np.int64]
    """(pairs, 2): indices of source and target."""
    test: tuple[tuple[int, frozenset[int]], ...]
    """The index of each source word and of all its translations."""


@register_kind
class LexiconInductionBenchmark(Benchmark):
    """A training dictionary of two languages, then a test dictionary."""

    TASK = "lexicon-induction"
    METRIC = "acc@1"
    FILE_COUNT = 2
    USES_SECOND_ENCODER = True

    items: int | None = None
    """Expected number of test words."""

    def load(self, run: RunData | None) -> Lexicon:
        """Return both dictionaries.

        Raises:
            BenchmarkError: a file is missing, a line is not two words, or the number of test words
                is not the declared one.
        """
        lexicon = _read_lexicon(*(find_file(self, file) for file in self.files))
        if self.items is not None and len(lexicon.test) != self.items:
            raise BenchmarkError(
                f"{self.name} holds {len(lexicon.test)} test words and declares {self.items}: "
                "its files or its definition are wrong"
            )
        return lexicon

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return Acc@1; `second` embeds the target words if it is given."""
        lexicon: Lexicon = data
        sources = encoder.encode(lexicon.sources)
        targets = (second or encoder).encode(lexicon.targets)
        for vectors in (sources, targets):
            check_vectors(vectors, self.name)
            if np.ptp(vectors, axis=0).max() == 0:
                raise BenchmarkError(
                    f"an encoder gives all words of {self.name} the same vector: it has collapsed"
                )
        mapped = map_spaces(sources, targets, lexicon.training)
        correct = precision_at_1_csls(*mapped, lexicon.test)
        return make_result(self, Predictions(("",) * len(correct), correct))


def _read_lexicon(training_path: Path, test_path: Path) -> Lexicon:
    training, test = _read_pairs(training_path), _read_pairs(test_path)
    pairs = training + test
    sources, targets = (
        {word: index for index, word in enumerate(dict.fromkeys(pair[side] for pair in pairs))}
        for side in (0, 1)
    )
    translations: dict[int, set[int]] = {}
    for source, target in test:
        translations.setdefault(sources[source], set()).add(targets[target])
    return Lexicon(
        tuple(sources),
        tuple(targets),
        np.asarray([(sources[a], targets[b]) for a, b in training]),
        tuple((source, frozenset(group)) for source, group in translations.items()),
    )


def map_spaces(
    sources: Vectors, targets: Vectors, training: NDArray[np.int64]
) -> tuple[Vectors, Vectors]:
    """Map both languages into one space by orthogonal Procrustes on the training pairs.

    With XᵀZ = USVᵀ the sources are rotated by U and the targets by V.  The cosines equal those
    after rotating the sources by UVᵀ, the solution of Schönemann (1966), but the dimensions of
    both spaces may differ.

    Args:
        sources: (source words, source dimension).
        targets: (target words, target dimension).
        training: (pairs, 2), indices of source and target.

    Returns:
        Unit vectors of sources and targets, of the smaller dimension.
    """
    x, z = _normalise(sources), _normalise(targets)
    crossed = x[training[:, 0]].T.astype(np.float64) @ z[training[:, 1]]
    left, _, right = np.linalg.svd(crossed, full_matrices=False)
    rotated = (x @ left).astype(np.float32), (z @ right.T).astype(np.float32)
    return np.nan_to_num(unit_rows(rotated[0])), np.nan_to_num(unit_rows(rotated[1]))


def precision_at_1_csls(
    sources: Vectors, targets: Vectors, test: tuple[tuple[int, frozenset[int]], ...]
) -> NDArray[np.float64]:
    """Return 1 for each test word whose nearest target by CSLS is a translation, else 0: (words,).

    A tie with a wrong word counts as 0, so that a collapsed encoder scores 0.

    Args:
        sources: mapped unit vectors of all source words.
        targets: mapped unit vectors of all target words.
        test: indices of each source word and of its translations.
    """
    density = _density(targets, sources)
    correct = np.empty(len(test))
    for start in range(0, len(test), CHUNK):
        part = test[start : start + CHUNK]
        cosines = sources[[source for source, _ in part]] @ targets.T
        for offset, (row, (_, right)) in enumerate(zip(cosines, part, strict=True)):
            # CSLS also subtracts the source word's density: it is the same for all targets.
            similarities = 2 * row.astype(np.float64) - density
            indices = sorted(right)
            best = similarities[indices].max()
            similarities[indices] = -np.inf
            correct[start + offset] = float(best > similarities.max())
    return correct


def _density(words: Vectors, others: Vectors) -> NDArray[np.float64]:
    """Return each word's mean cosine with its ten nearest of the other language: (words,)."""
    count = min(NEIGHBOURS, len(others))
    means = []
    for start in range(0, len(words), CHUNK):
        cosines = words[start : start + CHUNK] @ others.T
        nearest = np.partition(cosines, len(others) - count, axis=1)[:, -count:]
        means.append(nearest.mean(axis=1, dtype=np.float64))
    return np.concatenate(means)


def _normalise(vectors: Vectors) -> Vectors:
    unit = unit_rows(vectors)
    # A word at the mean has no direction: zeros instead of nan.
    return np.nan_to_num(unit_rows(unit - unit.mean(axis=0)))


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        words = line.split("\t")
        if len(words) != 2 or not all(words):
            raise BenchmarkError(f"{path}, line {number}: not two words, separated by a tab")
        pairs.append((words[0], words[1]))
    if not pairs:
        raise BenchmarkError(f"{path} holds no pair of words: download it again")
    return pairs
