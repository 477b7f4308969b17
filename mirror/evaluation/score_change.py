"""Records of scores: what changed from one encoder to another, and how a base was read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

TRUNCATED = "truncated"
"""Key in an evaluation's `diagnostics.json`: how many `texts` were encoded, and how many `cut`."""


def joined_with(method: str) -> str:
    """Return the name of the extra metric of an encoder joined with another method."""
    return f"with {method}"


@dataclass(frozen=True)
class ScoreChange:
    """The scores of two encoders on a benchmark or a subset of it."""

    benchmark: str
    """A subset is named after its benchmark: `sts-english, sts12`."""
    metric: str
    n: int
    """Items scored."""
    before: float
    after: float
    change: float
    low: float
    """Lower end of the change's bootstrap interval."""
    high: float
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Scores of other methods on the same items, such as `BM25`."""
    joined: Mapping[str, float] = field(default_factory=dict)
    """Scores of the encoder joined with a method of `baselines`, by the method's name."""
    p: float | None = None
    """One-sided p-value of an improvement on this benchmark alone; None for subsets."""
    differing: int = 0
    """Items whose predictions differ."""
    chance: float = 0.0
    """The score to expect of random vectors."""
    after_low: float = 1.0
    """Lower end of the interval of `after`."""

    def __str__(self) -> str:
        p = "" if self.p is None else f", p = {self.p:.3f}" if self.p >= 0.001 else ", p < .001"
        return (
            f"{self.benchmark}: {self.before:.3f} to {self.after:.3f}, "
            f"{self.change:+.3f} [{self.low:+.3f}, {self.high:+.3f}]{p}"
        )

    @property
    def is_at_chance(self) -> bool:
        """Whether random vectors might score as much as the second encoder."""
        return self.after_low <= self.chance


@dataclass(frozen=True)
class MetricSummary:
    """A metric of two encoders that the gate does not use."""

    benchmark: str
    metric: str
    before: float
    after: float


@dataclass(frozen=True)
class BaseReading:
    """The scores of the base with one pooling, length and prompt."""

    words: str
    """How the base is read, to follow `the base`."""
    scores: Mapping[str, float]
    """By benchmark, of those that the gate uses."""
    digest: str
    """Of the evaluation."""

    @property
    def mean(self) -> float:
        """The mean score; NaN without scores."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else math.nan
