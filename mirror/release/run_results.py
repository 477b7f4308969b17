"""Results of a run: its recipe and the records of its stages."""

from __future__ import annotations

from dataclasses import dataclass

from mirror.corpus.drift import Drift
from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.comparison import compare, extra_metric_changes
from mirror.evaluation.score_change import BaseReading, MetricSummary, ScoreChange
from mirror.recipe import Recipe
from mirror.stage_files import read_json
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
    """The evaluation of the base in its best reading."""
    after: StageRecord
    """The tuned encoder's evaluation."""
    pairs: StageRecord | None = None
    """Labelled pairs, if the recipe has any."""
    profile: StageRecord | None = None
    """The corpus's profile, for drift of later corpora."""
    drift: Drift | None = None
    """Drift from the champion's corpus; None if it was not measured."""
    readings: tuple[BaseReading, ...] = ()
    """The base in each reading that was scored, that of `before` first."""
    compatibility: StageRecord | None = None
    """Index compatibility with the champion that it replaces; None if there is none."""

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the records, as inputs of a stage."""
        records = (self.corpus, self.sample, self.pairs, self.tuned)
        stages = {record.stage: record.digest for record in records if record}
        return {
            **stages,
            "base": self.base.digest,
            "before": self.before.digest,
            **{f"the base {other.words}": other.digest for other in self.readings[1:]},
            "after": self.after.digest,
        }


def score_changes(results: RunResults) -> tuple[ScoreChange, ...]:
    """Return the change from base to tuned encoder on each benchmark that the gate uses.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    return compare(results.before, results.after, results.recipe.evaluation.gate)


def metric_changes(results: RunResults) -> tuple[MetricSummary, ...]:
    """Return the numbers of base and tuned encoder that the gate does not use.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    records = (results.before, results.after)
    return extra_metric_changes(*(read_json(record.path / "scores.json") for record in records))
