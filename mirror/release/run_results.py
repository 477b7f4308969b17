"""All that a run knows of an encoder when it is packaged and reported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mirror.corpus.drift import Drift
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.evaluation.comparison import compare
from mirror.recipe import Recipe
from mirror.release.run_record import MetricSummary, ScoreLine
from mirror.store import StageRecord


@dataclass(frozen=True)
class RunResults:
    """A recipe and the records of its stages."""

    recipe: Recipe
    base: EncoderRef
    corpus: StageRecord
    sample: StageRecord
    tuned: StageRecord
    before: StageRecord
    """The base's evaluation."""
    after: StageRecord
    """The tuned encoder's evaluation."""
    pairs: StageRecord | None = None
    """Labelled pairs, if the recipe has any."""
    profile: StageRecord | None = None
    """The corpus's profile, which later corpora are compared with."""
    drift: Drift | None = None
    """The corpus beside today's champion's, where that has been looked at."""
    compatibility: StageRecord | None = None
    """The champion that it succeeds and this encoder, for those who hold an index."""

    @property
    def digests(self) -> dict[str, str]:
        """What the results were made from, for a stage's inputs."""
        records = (self.corpus, self.sample, self.pairs, self.tuned)
        made = {record.stage: record.digest for record in records if record}
        return {
            **made,
            "base": self.base.digest,
            "before": self.before.digest,
            "after": self.after.digest,
        }


def score_lines(results: RunResults) -> tuple[ScoreLine, ...]:
    """Each benchmark before and after, with the interval of the change.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    gate = results.recipe.evaluation.gate
    scores = read_json(results.after, "scores.json")
    lines = []
    for found in compare(results.before, results.after, gate):
        lines.append(
            ScoreLine(
                benchmark=found.benchmark,
                metric=str(scores[found.benchmark]["metric"]),
                n=found.n,
                before=found.before,
                after=found.after,
                change=found.change,
                low=found.low,
                high=found.high,
                baselines=dict(found.baselines),
            )
        )
    return tuple(lines)


def extra_metric_lines(results: RunResults) -> tuple[MetricSummary, ...]:
    """What was measured beside the scores, and the scores that no gate judges by.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    before, after = (read_json(side, "scores.json") for side in (results.before, results.after))
    return tuple(
        MetricSummary(name, measure, was, now)
        for name in after
        for measure, was, now in paired_extra_metrics(before[name], after[name])
    )


def paired_extra_metrics(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, float, float]]:
    """Name and both values of each number of a benchmark that no gate judges by."""
    if not after.get("used_by_gate", True):
        yield str(after["metric"]), float(before["score"]), float(after["score"])
    for name, now in after.get("extra_metrics", {}).items():
        yield name, float(before["extra_metrics"][name]), float(now)


def read_json(record: StageRecord, name: str) -> Any:
    """A JSON file of a stage.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = record.path / name
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}): remove its folder and run again") from (
            error
        )
