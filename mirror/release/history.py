"""History of a registered model: version summaries and their HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mirror.rendering import fill_template

HISTORY_TEMPLATE = "history.html.j2"
DIGEST_CHARACTERS = 10
LEAST_LOSS = 0.01
"""Fall of a score since the first generation that is marked: the gate's default tolerance."""


@dataclass(frozen=True)
class AliasChange:
    """A promotion or a rollback of a version."""

    action: str
    """`promoted`, `rolled back` or `restored`."""
    by: str
    """`the gate`, or user and host."""
    at: str
    """UTC, ISO 8601."""
    reason: str = ""
    objection: str = ""
    """Set if the promotion was forced despite it."""

    def __str__(self) -> str:
        despite = f", although {self.objection}" if self.objection else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.action} by {self.by}, {short_time(self.at)}{despite}{reason}"


@dataclass(frozen=True)
class VersionSummary:
    """One version of a registered model."""

    number: str
    created: str
    """UTC, ISO 8601."""
    recipe: str
    corpus: str
    """Digest of its corpus."""
    scores: Mapping[str, tuple[float | None, float | None]]
    """By benchmark: score before and after tuning."""
    verdict: str
    """The gate's: `promote` or `refuse`, or empty."""
    reasons: str
    """The gate's reasons."""
    status: str
    changes: tuple[AliasChange, ...]
    aliases: tuple[str, ...]
    general: frozenset[str] = frozenset()
    """The benchmarks of general quality (`mirror.evaluation.general`)."""
    parent: str = ""
    """The version that it was tuned from; empty if its base is no version of this model."""

    @property
    def status_lines(self) -> tuple[str, ...]:
        """The version's changes, then its status unless a change has it already."""
        changes = tuple(str(change) for change in self.changes)
        has_status = any(self.status == change.action for change in self.changes)
        return changes if has_status else (*changes, self.status)


@dataclass(frozen=True)
class GenerationScore:
    """A version's score on a benchmark, and the change since the first generation."""

    benchmark: str
    before: float | None
    after: float | None
    first: str = ""
    """The earliest ancestor with a score on it; empty without one."""
    change: float = 0.0
    """From that version's score to this one's."""

    @property
    def is_loss(self) -> bool:
        """Whether the score has fallen, over all generations together."""
        return self.change <= -LEAST_LOSS


def generation_scores(
    version: VersionSummary, versions: Sequence[VersionSummary], *, general: bool
) -> list[GenerationScore]:
    """Return a version's scores on the general or on the domain's benchmarks, by name.

    Args:
        version: one of `versions`.
        versions: all versions of the model.
        general: which benchmarks.
    """
    ancestors = _ancestors(version, versions)
    scores = []
    for benchmark, (before, after) in sorted(version.scores.items()):
        if (benchmark in version.general) != general:
            continue
        earlier = (
            (other.number, other.scores.get(benchmark, (None, None))[1]) for other in ancestors
        )
        first, score = next(((number, x) for number, x in earlier if x is not None), ("", None))
        if after is None or score is None:
            scores.append(GenerationScore(benchmark, before, after))
        else:
            scores.append(GenerationScore(benchmark, before, after, first, after - score))
    return scores


def _ancestors(version: VersionSummary, versions: Sequence[VersionSummary]) -> list[VersionSummary]:
    """Return the versions that a version descends from, the first generation first."""
    by_number = {each.number: each for each in versions}
    chain: list[VersionSummary] = []
    while (parent := by_number.get(version.parent)) and parent not in chain:
        chain.insert(0, parent)
        version = parent
    return chain


def short_time(at: str) -> str:
    """Return a time to the minute: `2026-01-02 03:04`."""
    return at[:16].replace("T", " ")


def short_digest(digest: str) -> str:
    """Return the start of a digest."""
    return digest[:DIGEST_CHARACTERS]


def render_history(model: str, versions: Sequence[VersionSummary]) -> str:
    """Return a self-contained HTML page, newest version first."""
    champion = next((version for version in versions if "champion" in version.aliases), None)
    return fill_template(
        HISTORY_TEMPLATE,
        {
            "model": model,
            "versions": list(reversed(versions)),
            "champion": champion,
            "changes": sum(len(version.changes) for version in versions),
            "short_time": short_time,
            "short_digest": short_digest,
            "scores_of": partial(generation_scores, versions=versions),
        },
    )
