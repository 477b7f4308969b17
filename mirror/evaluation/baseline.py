"""Baseline: the untuned base's evaluation with its best pooling.

An encoder is read with its own settings.  A plain model has none: it is read by its class token, by
the mean of its tokens, and as the recipe reads it, and the best of these is the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef, untuned_encoder
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.evaluation.comparison import gate_scores
from mirror.evaluation.score_change import BaseReading
from mirror.store import StageRecord
from mirror.tuning_config import Pooling, TuningSection

CLASS_AND_MEAN: tuple[Pooling, ...] = ("cls", "mean")
"""The poolings that the owner of a plain model would use."""
RANDOM_CONTROL = "random-control"
"""Label of the tuned encoder of random weights."""
RANDOM_WORDS = "with random weights, tuned alike,"


@dataclass(frozen=True)
class Baseline:
    """Evaluation that the tuned encoder is compared with."""

    record: StageRecord
    """The evaluation of the base's best reading."""
    readings: tuple[BaseReading, ...]
    """All readings, that of the baseline first."""

    def with_random_control(self, record: StageRecord) -> Baseline:
        """Return the baseline with the score of random weights that were tuned like the base.

        A benchmark on which they score well is like the pairs that were tuned on, and says little
        about what the base knows.
        """
        control = BaseReading(RANDOM_WORDS, gate_scores(record), record.digest)
        return replace(self, readings=(*self.readings, control))


def measure_baseline(
    base: EncoderRef, tuning: TuningSection, evaluate: Callable[[EncoderRef], StageRecord]
) -> Baseline:
    """Evaluate the base in each reading, and choose the baseline.

    Args:
        base: the model to tune.
        tuning: a settled recipe's `[tuning]`.
        evaluate: makes or reuses the evaluation of one reading.

    Raises:
        MirrorError: as `evaluate` raises it.
    """
    own = read_encoder_settings(Path(base.folder))
    records, readings = [], []
    for ref, words in base_readings(base, tuning, own):
        records.append(evaluate(ref))
        readings.append(BaseReading(words, gate_scores(records[-1]), records[-1].digest))
    # The recipe's reading of an encoder is shown, but its owner does not use it.
    best = 0 if own else best_of([reading.mean for reading in readings])
    others = [reading for number, reading in enumerate(readings) if number != best]
    return Baseline(records[best], (readings[best], *others))


def base_readings(
    base: EncoderRef, tuning: TuningSection, own: EncoderSettings | None
) -> list[tuple[EncoderRef, str]]:
    """Return the readings of the base to evaluate, each with words that say how it is read.

    Args:
        base: the model to tune.
        tuning: a settled recipe's `[tuning]`.
        own: the base's settings if it is an encoder.
    """
    by_recipe = untuned_encoder(base, tuning)
    recipe_words = f"with {tuning.pooling} pooling{' and the prompt' if tuning.prompt else ''}"
    if own is not None:
        readings = [(base, f"with its own settings ({own.pooling} pooling)")]
        if tuning.pooling != own.pooling or tuning.prompt not in (None, own.prompt):
            label = f"{base.label}-recipe"
            readings.append((replace(by_recipe, label=label), f"{recipe_words} as in this recipe"))
        return readings
    readings = [(by_recipe, recipe_words)]
    for pooling in CLASS_AND_MEAN:
        other = replace(by_recipe, pooling=pooling, prompt=None, label=f"{base.label}-{pooling}")
        if (tuning.pooling, tuning.prompt) != (pooling, None):
            readings.append((other, f"with {pooling} pooling"))
    return readings


def best_of(means: Sequence[float]) -> int:
    """Return the index of the highest number, the first of equal ones; NaN is below all."""
    ranked = [-math.inf if math.isnan(mean) else mean for mean in means]
    return ranked.index(max(ranked))
