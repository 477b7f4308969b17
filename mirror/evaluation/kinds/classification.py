"""Classification benchmarks: area under the ROC curve of cosines of labelled text pairs.

The AUC is how often a matching pair has the higher cosine; ties count half.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mirror.evaluation.benchmark import register_kind
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
