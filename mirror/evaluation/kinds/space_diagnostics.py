"""Diagnostics of an embedding space without labels: isotropy, alignment, uniformity, neighbours.

Isotropy and mean vector norm are measured on the vectors as they are; alignment and uniformity
(Wang and Isola 2020) on vectors of length 1.

The paper's table 9 does not show isotropy as its text defines it.  Along the eigenvectors, a mean
vector of norm 7 leaves less than a thousandth, and the table has a fifth.  All its rows are close
to what the rows of the matrix of eigenvectors give, instead of its columns.  That number is the
extra metric `isotropy, table 9`.

Wang and Isola align the two views of training.  An encoder in evaluation mode has no dropout, so
its two views of a text are the text and the text without a run of characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, register_kind
from mirror.evaluation.metrics import check_vectors, unit_rows
from mirror.evaluation.result import BenchmarkResult, TextEncoder, require_run
from mirror.run_data import RunData
from mirror.stage_files import sampled_texts

MIN_TEXTS = 2
REMOVED_CHARACTERS = 5
"""Length of the run that is removed from a text; at most a third of the text."""
SEED = 20_210_908
CHUNK = 1_000
"""Vectors compared with all others at a time; bounds memory."""
REPORT_STRINGS = 2_000
"""Strings in `diagnostics.json`."""
QUERIES = 10
NEAREST = 5
BINS = 50


@register_kind
class SpaceDiagnosticsBenchmark(Benchmark):
    """The first 10,000 strings of the run's own sample; reported, not used by the gate."""

    TASK = "space-diagnostics"
    METRIC = "isotropy"
    EXTRA_METRICS = ("isotropy, table 9", "mean vector norm", "alignment", "uniformity")
    NEEDS_RUN = True

    @model_validator(mode="after")
    def _check_not_used_by_gate(self) -> Self:
        if self.used_by_gate:
            raise ValueError(
                "space diagnostics have no items to judge by: set `used_by_gate = false`"
            )
        return self

    def load(self, run: RunData | None) -> list[str]:
        """Return the sample's first strings of two characters or more."""
        texts = [text for text in sampled_texts(require_run(self, run).sample) if len(text) > 1]
        if len(texts) < MIN_TEXTS:
            raise BenchmarkError(
                f"{self.name} needs {MIN_TEXTS} texts of two characters or more, and there are "
                f"{len(texts)}: raise sample.size"
            )
        return texts

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return isotropy, with the other diagnostics as extra metrics."""
        vectors, others = encoder.encode(data), encoder.encode(shortened(data))
        check_vectors(vectors, self.name)
        check_vectors(others, self.name)
        exact = vectors.astype(np.float64)
        return BenchmarkResult(
            self.metric,
            isotropy(exact),
            len(data),
            extra_metrics={
                "isotropy, table 9": isotropy_as_published(exact),
                "mean vector norm": float(np.linalg.norm(exact.mean(axis=0))),
                "alignment": alignment(vectors, others),
                "uniformity": uniformity(vectors),
            },
        )


def space_diagnostics(texts: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return neighbours, a histogram of cosines and isotropy, for the report and the gate.

    Args:
        texts: distinct strings.
        vectors: (texts, dimension), not normalised.

    Returns:
        JSON-ready: `neighbours` of the first ten texts; `cosines` of pairs half the list apart,
        with `bins`, the edges; `mean_cosine` of these pairs; `isotropy` and `mean_vector_norm`
        (paper, table 9); `unique_fraction`, the share of vectors that no earlier text has.
    """
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = exact / np.where(norms > 0, norms, 1)
    half = len(texts) // 2
    pairs = np.einsum("ij,ij->i", unit[:half], unit[half : 2 * half])
    counts, edges = np.histogram(np.clip(pairs, -1, 1), bins=BINS, range=(-1, 1))
    return {
        "neighbours": _neighbours(texts, unit),
        "cosines": {"bins": np.round(edges, 4).tolist(), "counts": counts.tolist()},
        "mean_cosine": float(pairs.mean()),
        "isotropy": isotropy(exact),
        "mean_vector_norm": float(np.linalg.norm(exact.mean(axis=0))),
        "unique_fraction": len(np.unique(np.round(unit, 6), axis=0)) / len(texts),
    }


def isotropy(vectors: NDArray[np.float64]) -> float:
    """Return the smallest over the largest partition function along the eigenvectors of VᵀV.

    1 is isotropic (Mu and Viswanath 2018; Mirror-BERT paper, section 5).  Computed from
    logarithms, because sums of exponentials of unnormalised vectors overflow.
    """
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return partition_ratio(vectors @ directions)


def isotropy_as_published(vectors: NDArray[np.float64]) -> float:
    """Return isotropy along the rows of the matrix of eigenvectors, as in the paper's table 9.

    Relative to the vectors, such rows are like random directions.
    """
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return partition_ratio(vectors @ directions.T)


def partition_ratio(projections: NDArray[np.float64]) -> float:
    """Return the smallest over the largest sum of exponentials of a column.

    Args:
        projections: (vectors, directions).
    """
    top = projections.max(axis=0)
    logs = top + np.log(np.exp(projections - top).sum(axis=0))
    return float(np.exp(logs.min() - logs.max()))


def alignment(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the mean squared distance of corresponding rows at length 1; 0 is best.

    Equation 1 of Wang and Isola 2020, α = 2.
    """
    difference = unit_rows(first).astype(np.float64) - unit_rows(second)
    return float(np.square(difference).sum(axis=1).mean())


def uniformity(vectors: NDArray[np.float32]) -> float:
    """Return the log of the mean of exp(-2 · squared distance) over pairs of rows at length 1.

    From -4 to 0; lower is more uniform.  Equation 2 of Wang and Isola 2020, t = 2, over pairs of
    different rows.
    """
    unit = unit_rows(vectors).astype(np.float64)
    total = 0.0
    for start in range(0, len(unit), CHUNK):
        cosines = unit[start : start + CHUNK] @ unit.T
        total += float(np.exp(-4 * (1 - np.minimum(cosines, 1))).sum())
    count = len(unit)
    # Each row paired with itself added 1.
    return float(np.log((total - count) / (count * (count - 1))))


def shortened(texts: Sequence[str]) -> list[str]:
    """Return each text without one run of its characters, drawn with a fixed seed.

    Args:
        texts: of two characters or more.
    """
    generator = np.random.default_rng(SEED)
    shorter = []
    for text in texts:
        run = max(1, min(REMOVED_CHARACTERS, len(text) // 3))
        start = int(generator.integers(0, len(text) - run + 1))
        shorter.append(text[:start] + text[start + run :])
    return shorter


def _neighbours(texts: Sequence[str], unit: NDArray[np.float64]) -> list[dict[str, Any]]:
    neighbours = []
    for number in range(min(QUERIES, len(texts))):
        cosines = unit @ unit[number]
        cosines[number] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[: min(NEAREST, len(texts) - 1)]
        neighbours.append(
            {
                "query": texts[number],
                "nearest": [[texts[index], round(float(cosines[index]), 4)] for index in nearest],
            }
        )
    return neighbours
