"""Guard of tuning: a general benchmark on which an encoder may lose little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.evaluation.benchmark import read_definition

if TYPE_CHECKING:
    from mirror.evaluation.result import TextEncoder


@dataclass(frozen=True)
class Guard:
    """A recipe's `evaluation.guard`, which limits the share of tuned weights."""

    benchmark: str
    tolerance: float
    """How far the score may fall below the base's."""

    def score(self, encoder: TextEncoder) -> float:
        """Return an encoder's score on the benchmark."""
        benchmark = read_definition(self.benchmark)
        return benchmark.score(encoder, benchmark.load(None)).score
