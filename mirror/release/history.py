"""A registered model's versions, and the page that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mirror.rendering import fill_template

HISTORY_TEMPLATE = "history.html.j2"
DIGEST_CHARACTERS = 10


@dataclass(frozen=True)
class AliasChange:
    """Something that was done with a version."""

    what: str
    """`promoted`, `rolled back` or `restored`."""
    by: str
    at: str
    """UTC, ISO 8601."""
    why: str = ""
    despite: str = ""
    """What spoke against it, where it was forced."""

    def __str__(self) -> str:
        despite = f", though {self.despite}" if self.despite else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.what} by {self.by}, {short_time(self.at)}{despite}{why}"


@dataclass(frozen=True)
class VersionSummary:
    """One version of a registered model."""

    number: str
    at: str
    """When it was registered: UTC, ISO 8601."""
    recipe: str
    corpus: str
    """Its corpus's digest."""
    scores: Mapping[str, tuple[float | None, float | None]]
    """By benchmark: before and after tuning."""
    verdict: str
    """The gate's: `promote` or `refuse`; empty if there was none."""
    reasons: str
    """The gate's reasons, in words."""
    outcome: str
    moves: tuple[AliasChange, ...]
    aliases: tuple[str, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """What became of it, in words."""
        moves = tuple(str(move) for move in self.moves)
        return (
            moves
            if any(self.outcome == move.what for move in self.moves)
            else (
                *moves,
                self.outcome,
            )
        )


def short_time(at: str) -> str:
    """A moment to the minute: `2026-01-02 03:04`."""
    return at[:16].replace("T", " ")


def short_digest(digest: str) -> str:
    """Enough of a digest to tell corpora apart."""
    return digest[:DIGEST_CHARACTERS]


def render_history(model: str, lines: Sequence[VersionSummary]) -> str:
    """The page, as HTML that needs nothing else; the newest version comes first."""
    champion = next((line for line in lines if "champion" in line.aliases), None)
    return fill_template(
        HISTORY_TEMPLATE,
        {
            "model": model,
            "lines": list(reversed(lines)),
            "champion": champion,
            "moves": sum(len(line.moves) for line in lines),
            "short_time": short_time,
            "short_digest": short_digest,
        },
    )
