"""Settings of a sample."""

from __future__ import annotations

from dataclasses import dataclass

from mirror.sampling.words import Splitter


@dataclass(frozen=True)
class SampleSpec:
    """Settings of a sample."""

    size: int
    seed: int
    stratify_by_source: bool
    min_count: int
    split: Splitter | None
    """Function from a text to its words; None if whole strings are drawn."""
    repeats: bool = False
    """Whether equal strings may be drawn repeatedly, as often as the corpus has them."""
