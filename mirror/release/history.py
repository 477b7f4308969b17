"""History of a registered model: version summaries and their HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mirror.rendering import fill_template

HISTORY_TEMPLATE = "history.html.j2"
DIGEST_CHARACTERS = 10


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

    @property
    def status_lines(self) -> tuple[str, ...]:
        """The version's changes, then its status unless a change has it already."""
        changes = tuple(str(change) for change in self.changes)
        has_status = any(self.status == change.action for change in self.changes)
        return changes if has_status else (*changes, self.status)


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
        },
    )
