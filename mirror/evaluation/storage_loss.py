"""Loss of scores by what makes stored vectors smaller: fewer dimensions, and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mirror.encoders.encoder_ref import FULL_DIMENSION, EncoderRef
from mirror.evaluation.comparison import compare
from mirror.evaluation.score_change import ScoreChange
from mirror.recipe import Recipe
from mirror.store import StageRecord


@dataclass(frozen=True)
class StorageLoss:
    """The change of scores by one step that makes vectors smaller."""

    words: str
    """The step, such as `128 of 256 dimensions`."""
    changes: tuple[ScoreChange, ...]

    def __str__(self) -> str:
        mean = sum(change.change for change in self.changes) / len(self.changes)
        each = ", ".join(
            f"{change.benchmark} {change.change:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
            for change in self.changes
        )
        return f"{self.words} change the mean score by {mean:+.4f}: {each}."


def stored_encoder(encoder: EncoderRef, recipe: Recipe) -> EncoderRef:
    """Return the tuned encoder with vectors rounded as the recipe says that they are stored."""
    return replace(encoder, stored_as=recipe.evaluation.stored_as)


def storage_steps(encoder: EncoderRef, recipe: Recipe) -> list[tuple[EncoderRef, str]]:
    """Return the encoder before each step that makes its vectors smaller, and the step's words."""
    steps = []
    full = encoder.record.counts.get(FULL_DIMENSION) if encoder.record else None
    if full is not None:
        whole = replace(encoder, all_dimensions=True, label=f"{encoder.label}-all-dimensions")
        steps.append((whole, f"{recipe.tuning.dimensions} of {full} dimensions"))
    if (stored_as := recipe.evaluation.stored_as) != "float32":
        exact = replace(encoder, label=f"{encoder.label}-float32")
        steps.append((exact, f"Numbers stored as {stored_as}"))
    return steps


def storage_losses(
    before: Sequence[tuple[StageRecord, str]], stored: StageRecord, recipe: Recipe
) -> tuple[StorageLoss, ...]:
    """Return what each step costs.

    Args:
        before: the evaluation before each of `storage_steps`, and the step's words.
        stored: the evaluation after all of them.
        recipe: the run's.

    Raises:
        StoreError: an evaluation's folder is damaged.
    """
    records = [*(record for record, _ in before), stored]
    gate = recipe.evaluation.gate
    return tuple(
        StorageLoss(words, compare(records[number], records[number + 1], gate))
        for number, (_, words) in enumerate(before)
    )
