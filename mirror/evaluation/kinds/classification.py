"""Classification benchmarks: area under the ROC curve of cosines of labelled text pairs."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from mirror.evaluation.benchmark import register_kind
from mirror.evaluation.result import BenchmarkResult, TextEncoder
from mirror.evaluation.scored_pairs import PairBenchmark


@register_kind
class ClassificationBenchmark(PairBenchmark):
    """Pairs of texts with one of two labels, such as QNLI's questions and sentences."""

    TASK = "classification"
    METRIC = "auc"

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.labels is None:
            raise ValueError("a classification benchmark needs `labels`")
        return self

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return the AUC: how often a matching pair has the higher cosine; ties count half."""
        return self.score_pairs(encoder, data, "auc")
