"""Measures of an encoder's space that need no labels.

Isotropy and mean vector norm are of the vectors as they are; alignment and uniformity (Wang and
Isola 2020) are of vectors of length 1.

The paper's table 9 cannot be of isotropy as its text defines it: along the eigenvectors, a mean
vector of norm 7 leaves less than a thousandth, and the table has a fifth.  All its rows are near
what the rows of the matrix of eigenvectors give, whose columns the eigenvectors are; that number
stands beside, to be compared with the table.

Wang and Isola align the two views that training sees.  An encoder at rest has no dropout, so that
its two views of a text are the text and the text with a run of characters left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition
from mirror.evaluation.kinds.retrieval import unit_rows
from mirror.evaluation.result import BenchmarkResult, TextEncoder
from mirror.evaluation.space_diagnostics import isotropy, partition_ratio
from mirror.store import StageRecord

TEXTS = 10_000
"""Most texts measured: the size of the paper's training lists."""
LEAST = 2
RUN = 5
"""Characters left out of a text, and at most a third of it."""
SEED = 20_210_908
CHUNK = 1_000
"""Vectors compared with all others at a time; bounds memory."""


def score_space(
    encoder: TextEncoder, definition: Definition, texts: Sequence[str]
) -> BenchmarkResult:
    """Isotropy, with the other measures beside it.

    Args:
        encoder: gives the vectors.
        definition: the benchmark.
        texts: different strings, of which the first 10,000 are taken.

    Raises:
        BenchmarkError: there are too few texts, or the vectors are not numbers.
    """
    chosen = [text for text in texts[:TEXTS] if len(text) > 1]
    if len(chosen) < LEAST:
        raise BenchmarkError(
            f"{definition.name} needs {LEAST} texts of two characters or more, and there are "
            f"{len(chosen)}: raise sample.size"
        )
    vectors, others = encoder.encode(chosen), encoder.encode(shortened(chosen))
    for found in (vectors, others):
        lengths = np.linalg.norm(found.astype(np.float64), axis=1)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise BenchmarkError(
                f"the encoder gives vectors of zeros or nan for texts of {definition.name}: tune "
                "it again with a lower learning rate"
            )
    exact = vectors.astype(np.float64)
    return BenchmarkResult(
        definition.metric,
        isotropy(exact),
        len(chosen),
        extra_metrics={
            "isotropy, table 9": isotropy_as_published(exact),
            "mean vector norm": float(np.linalg.norm(exact.mean(axis=0))),
            "alignment": alignment(vectors, others),
            "uniformity": uniformity(vectors),
        },
    )


def isotropy_as_published(vectors: NDArray[np.float64]) -> float:
    """Isotropy along the rows of the matrix of eigenvectors, as the paper's table 9 seems to be.

    Such rows lie no other way to the vectors than random directions do.
    """
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return partition_ratio(vectors @ directions.T)


def sampled_texts(sample: StageRecord) -> list[str]:
    """The first 10,000 strings of a sample, which stand in the order of a hash."""
    table = pq.read_table(sample.path / "strings.parquet", columns=["text"])
    texts: list[str] = table["text"].slice(0, TEXTS).to_pylist()
    return texts


def alignment(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean squared distance of each row from the same row of the other, at length 1; 0 is best.

    Equation 1 of Wang and Isola 2020, α = 2.
    """
    apart = unit_rows(first).astype(np.float64) - unit_rows(second)
    return float(np.square(apart).sum(axis=1).mean())


def uniformity(vectors: NDArray[np.float32]) -> float:
    """Log of the mean of exp(-2 · squared distance) over pairs of rows at length 1; -4 to 0.

    Equation 2 of Wang and Isola 2020, t = 2; lower is more even.  A row is no pair with itself.
    """
    unit = unit_rows(vectors).astype(np.float64)
    total = 0.0
    for start in range(0, len(unit), CHUNK):
        cosines = unit[start : start + CHUNK] @ unit.T
        total += float(np.exp(-4 * (1 - np.minimum(cosines, 1))).sum())
    count = len(unit)
    # Rows with themselves gave 1 each, for their distance is none.
    return float(np.log((total - count) / (count * (count - 1))))


def shortened(texts: Sequence[str]) -> list[str]:
    """Each text without one run of its characters, drawn with a fixed seed.

    Args:
        texts: of two characters or more.
    """
    generator = np.random.default_rng(SEED)
    found = []
    for text in texts:
        run = max(1, min(RUN, len(text) // 3))
        start = int(generator.integers(0, len(text) - run + 1))
        found.append(text[:start] + text[start + run :])
    return found
