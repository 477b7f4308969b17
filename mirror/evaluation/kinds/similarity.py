"""Similarity benchmarks: Spearman correlation of cosines with human scores of text pairs."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mirror.evaluation.benchmark import register_kind
from mirror.evaluation.scored_pairs import PairBenchmark


@register_kind
class SimilarityBenchmark(PairBenchmark):
    """Pairs of texts with a human score; STS, SICK-R and Multi-SimLex are of this kind."""

    TASK = "similarity"
    METRIC = "spearman"

    @model_validator(mode="after")
    def _check_no_labels(self) -> Self:
        if self.labels is not None:
            raise ValueError("only a classification benchmark takes `labels`")
        return self
