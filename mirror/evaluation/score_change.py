"""Records of what changed from one encoder to another on a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """Scores of other methods on the same items, such as `bm25`."""

    def __str__(self) -> str:
        return (
            f"{self.benchmark}: {self.before:.3f} to {self.after:.3f}, "
            f"{self.change:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        )


@dataclass(frozen=True)
class MetricSummary:
    """A metric of two encoders that the gate does not judge by."""

    benchmark: str
    metric: str
    before: float
    after: float
