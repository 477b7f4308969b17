"""What has changed between the corpus that a champion was made from and today's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirror.corpus.profile import LENGTH_STEP, CorpusProfile, pieces_per_word, unknown_share
from mirror.recipe import DriftSection

Floats = NDArray[np.float64]

SHOWN_PIECES = 10
CONTINUES = ("##",)
"""How WordPiece marks a piece inside a word; such pieces tell a reader nothing."""


@dataclass(frozen=True)
class Drift:
    """A new corpus beside an older one; shares run from 0 to 1."""

    strings_before: int
    strings_now: int
    new: float
    """Share of today's strings that the older corpus lacks."""
    gone: float
    """Share of the older corpus's strings that today's lacks."""
    divergence: float
    """Jensen-Shannon divergence of their word pieces, in bits (Lin 1991): 0 alike, 1 disjoint."""
    unknown_before: float
    """Share of word pieces that the base's vocabulary does not have."""
    unknown_now: float
    pieces_before: float
    """Word pieces for a word."""
    pieces_now: float
    length_before: float
    """Mean length in characters, to ten."""
    length_now: float
    length_distance: float
    """Kolmogorov-Smirnov distance of the lengths: the most that shares up to a length differ by."""
    risen: tuple[str, ...] = ()
    """Beginnings of words that account for most of the divergence and are more frequent now."""
    fallen: tuple[str, ...] = ()


def measure_drift(now: CorpusProfile, before: CorpusProfile) -> Drift:
    """Compares two corpora by their profiles, which must be of one base."""
    pieces = sorted({*now.pieces, *before.pieces})
    shares_now, shares_before = (_shares(side.pieces, pieces) for side in (now, before))
    parts = divergence_parts(shares_now, shares_before)
    movers = [pieces[index] for index in np.argsort(-parts, kind="stable") if parts[index] > 0]
    grown = dict(zip(pieces, shares_now > shares_before, strict=True))
    whole = [piece for piece in movers if not piece.startswith(CONTINUES)]
    return Drift(
        strings_before=before.strings,
        strings_now=now.strings,
        new=share_lacking(now, before),
        gone=share_lacking(before, now),
        divergence=float(parts.sum()),
        unknown_before=unknown_share(before),
        unknown_now=unknown_share(now),
        pieces_before=pieces_per_word(before),
        pieces_now=pieces_per_word(now),
        length_before=_mean_length(before),
        length_now=_mean_length(now),
        length_distance=_length_distance(now, before),
        risen=tuple([piece for piece in whole if grown[piece]][:SHOWN_PIECES]),
        fallen=tuple([piece for piece in whole if not grown[piece]][:SHOWN_PIECES]),
    )


def reasons_to_run(drift: Drift, section: DriftSection) -> tuple[str, ...]:
    """Which of a recipe's thresholds today's corpus is at or above, in words; none if below all."""
    return tuple(_reasons(drift, section))


def describe_drift(drift: Drift) -> str:
    """The drift in a sentence."""
    return (
        f"{drift.new:.1%} of {drift.strings_now:,} strings are new and {drift.gone:.1%} of "
        f"{drift.strings_before:,} are gone; vocabulary divergence {drift.divergence:.4f}, unknown "
        f"pieces {drift.unknown_before:.2%} to {drift.unknown_now:.2%}, pieces per word "
        f"{drift.pieces_before:.2f} to {drift.pieces_now:.2f}, mean length "
        f"{drift.length_before:.0f} to {drift.length_now:.0f} characters"
    )


def drift_lines(drift: Drift) -> list[dict[str, str]]:
    """The drift as rows: what, before, now."""
    return [
        _line("different strings", f"{drift.strings_before:,}", f"{drift.strings_now:,}"),
        _line("strings that the other lacks", f"{drift.gone:.2%}", f"{drift.new:.2%}"),
        _line("vocabulary divergence, bits", "", f"{drift.divergence:.4f}"),
        _line("unknown pieces", f"{drift.unknown_before:.3%}", f"{drift.unknown_now:.3%}"),
        _line("pieces per word", f"{drift.pieces_before:.3f}", f"{drift.pieces_now:.3f}"),
        _line("mean characters", f"{drift.length_before:.1f}", f"{drift.length_now:.1f}"),
        _line("distance of lengths", "", f"{drift.length_distance:.4f}"),
        _line("less and more frequent", " ".join(drift.fallen), " ".join(drift.risen)),
    ]


def _line(what: str, before: str, now: str) -> dict[str, str]:
    return {"what": what, "before": before, "now": now}


def _reasons(drift: Drift, section: DriftSection) -> Iterator[str]:
    if drift.new >= section.new_strings:
        yield (
            f"{drift.new:.1%} of the strings are new; {section.new_strings:.1%} is enough "
            "(drift.new_strings)."
        )
    if drift.divergence >= section.divergence:
        yield (
            f"The vocabulary diverges by {drift.divergence:.4f} bits; {section.divergence} is "
            "enough (drift.divergence)."
        )
    if drift.unknown_now - drift.unknown_before >= section.unknown:
        yield (
            f"Unknown pieces rose from {drift.unknown_before:.2%} to {drift.unknown_now:.2%}; by "
            f"{section.unknown:.2%} is enough (drift.unknown)."
        )
    if drift.pieces_now >= drift.pieces_before * (1 + section.pieces_per_word):
        yield (
            f"Words take {drift.pieces_now:.2f} pieces and took {drift.pieces_before:.2f}; "
            f"{section.pieces_per_word:.0%} more is enough (drift.pieces_per_word)."
        )
    if drift.length_distance >= section.lengths:
        yield (
            f"Lengths are {drift.length_distance:.3f} apart; {section.lengths} is enough "
            "(drift.lengths)."
        )


def share_lacking(one: CorpusProfile, other: CorpusProfile) -> float:
    """Share of `one`'s strings that `other` lacks, estimated where both sketches reach."""
    reach = min((side.sketch[-1] for side in (one, other) if not _is_whole(side)), default=None)
    own = [mark for mark in one.sketch if reach is None or mark <= reach]
    known = frozenset(other.sketch)
    return sum(mark not in known for mark in own) / len(own) if own else 0.0


def divergence_parts(
    one: Floats,
    other: Floats,
) -> Floats:
    """What each outcome adds to the Jensen-Shannon divergence, in bits.

    Args:
        one: (outcomes,) probabilities.
        other: likewise, of the same outcomes.
    """
    middle = (one + other) / 2
    parts = np.zeros_like(middle)
    for side in (one, other):
        held = side > 0
        parts[held] += side[held] * np.log2(side[held] / middle[held]) / 2
    return np.maximum(parts, 0)  # each is by log sum inequality; rounding may say otherwise


def _is_whole(profile: CorpusProfile) -> bool:
    return len(profile.sketch) >= profile.strings


def _shares(counts: Mapping[str, int], order: Sequence[str]) -> Floats:
    found = np.array([counts.get(piece, 0) for piece in order], dtype=np.float64)
    shares: Floats = found / max(1.0, found.sum())
    return shares


def _mean_length(profile: CorpusProfile) -> float:
    drawn = sum(profile.lengths.values())
    total = sum((int(low) + LENGTH_STEP / 2) * n for low, n in profile.lengths.items())
    return total / drawn if drawn else math.nan


def _length_distance(now: CorpusProfile, before: CorpusProfile) -> float:
    order = [str(low) for low in sorted({int(low) for low in (*now.lengths, *before.lengths)})]
    if not order:
        return 0.0
    one, other = (_shares(side.lengths, order).cumsum() for side in (now, before))
    return float(np.abs(one - other).max())
