"""Corpus drift: changes since the corpus that the champion was made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirror.corpus.profile import LENGTH_STEP, CorpusProfile, pieces_per_word, unknown_share
from mirror.drift_config import DriftSection

Floats = NDArray[np.float64]

SHOWN_PIECES = 10
CONTINUES = ("##",)
"""Prefixes of word pieces inside a word, which mean little to a reader."""


@dataclass(frozen=True)
class Drift:
    """Differences between an older and a newer corpus; shares are between 0 and 1."""

    strings_before: int
    strings_now: int
    new: float
    """Share of the newer corpus's strings that the older lacks."""
    gone: float
    """Share of the older corpus's strings that the newer lacks."""
    divergence: float
    """Jensen-Shannon divergence of their word pieces, in bits (Lin 1991): 0 alike, 1 disjoint."""
    unknown_before: float
    """Share of word pieces that are unknown to the base model."""
    unknown_now: float
    pieces_before: float
    """Mean number of word pieces per word."""
    pieces_now: float
    length_before: float
    """Mean length in characters, from lengths rounded to tens."""
    length_now: float
    length_distance: float
    """Kolmogorov-Smirnov distance of the lengths: the largest difference of their distributions."""
    risen: tuple[str, ...] = ()
    """Word-initial pieces that add most to the divergence and are more frequent now."""
    fallen: tuple[str, ...] = ()


def measure_drift(now: CorpusProfile, before: CorpusProfile) -> Drift:
    """Return the drift between two corpora whose profiles have the same base."""
    pieces = sorted({*now.pieces, *before.pieces})
    shares_now, shares_before = (_shares(each.pieces, pieces) for each in (now, before))
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
    """Return a sentence for each of the recipe's thresholds that the drift reaches."""
    return tuple(_reasons(drift, section))


def describe_drift(drift: Drift) -> str:
    """Return the drift as a sentence."""
    return (
        f"{drift.new:.1%} of {drift.strings_now:,} strings are new and {drift.gone:.1%} of "
        f"{drift.strings_before:,} are gone; vocabulary divergence {drift.divergence:.4f}, unknown "
        f"pieces {drift.unknown_before:.2%} to {drift.unknown_now:.2%}, pieces per word "
        f"{drift.pieces_before:.2f} to {drift.pieces_now:.2f}, mean length "
        f"{drift.length_before:.0f} to {drift.length_now:.0f} characters"
    )


def drift_lines(drift: Drift) -> list[dict[str, str]]:
    """Return the drift as rows of a table: what, before, now."""
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
            f"{drift.new:.1%} of the strings are new; threshold "
            f"{section.new_strings:.1%} (drift.new_strings)."
        )
    if drift.divergence >= section.divergence:
        yield (
            f"The vocabulary diverges by {drift.divergence:.4f} bits; threshold "
            f"{section.divergence} (drift.divergence)."
        )
    if drift.unknown_now - drift.unknown_before >= section.unknown:
        yield (
            f"Unknown pieces rose from {drift.unknown_before:.2%} to {drift.unknown_now:.2%}; "
            f"threshold {section.unknown:.2%} (drift.unknown)."
        )
    if drift.pieces_now >= drift.pieces_before * (1 + section.pieces_per_word):
        yield (
            f"Words take {drift.pieces_now:.2f} pieces and took {drift.pieces_before:.2f}; "
            f"threshold {section.pieces_per_word:.0%} more (drift.pieces_per_word)."
        )
    if drift.length_distance >= section.lengths:
        yield (
            f"Lengths are {drift.length_distance:.3f} apart; threshold {section.lengths} "
            "(drift.lengths)."
        )


def share_lacking(one: CorpusProfile, other: CorpusProfile) -> float:
    """Return the share of `one`'s strings that `other` lacks, estimated from both sketches."""
    reach = min((each.sketch[-1] for each in (one, other) if not _is_whole(each)), default=None)
    hashes = [digest for digest in one.sketch if reach is None or digest <= reach]
    known = frozenset(other.sketch)
    return sum(digest not in known for digest in hashes) / len(hashes) if hashes else 0.0


def divergence_parts(one: Floats, other: Floats) -> Floats:
    """Return each outcome's part of the Jensen-Shannon divergence, in bits: (outcomes,).

    Args:
        one: (outcomes,) probabilities.
        other: (outcomes,) probabilities of the same outcomes.
    """
    middle = (one + other) / 2
    parts = np.zeros_like(middle)
    for shares in (one, other):
        positive = shares > 0
        parts[positive] += shares[positive] * np.log2(shares[positive] / middle[positive]) / 2
    return np.maximum(parts, 0)  # by the log sum inequality; rounding may give less


def _is_whole(profile: CorpusProfile) -> bool:
    return len(profile.sketch) >= profile.strings


def _shares(counts: Mapping[str, int], order: Sequence[str]) -> Floats:
    ordered = np.array([counts.get(piece, 0) for piece in order], dtype=np.float64)
    shares: Floats = ordered / max(1.0, ordered.sum())
    return shares


def _mean_length(profile: CorpusProfile) -> float:
    drawn = sum(profile.lengths.values())
    total = sum((int(low) + LENGTH_STEP / 2) * n for low, n in profile.lengths.items())
    return total / drawn if drawn else math.nan


def _length_distance(now: CorpusProfile, before: CorpusProfile) -> float:
    order = [str(low) for low in sorted({int(low) for low in (*now.lengths, *before.lengths)})]
    if not order:
        return 0.0
    one, other = (_shares(each.lengths, order).cumsum() for each in (now, before))
    return float(np.abs(one - other).max())
