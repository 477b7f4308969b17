"""The data of a run: its corpus, the sample drawn from it, and its labelled pairs."""

from __future__ import annotations

from dataclasses import dataclass

from mirror.store import StageRecord


@dataclass(frozen=True)
class RunData:
    """Records of the stages that make a run's data."""

    corpus: StageRecord
    sample: StageRecord
    """The strings that are tuned on."""
    pairs: StageRecord | None = None
    """Labelled pairs; None if the recipe has none."""
