"""Whether an index of one encoder's vectors still serves another: keep it, rotate it, or re-embed.

Whoever holds an index has old vectors, and will ask with new ones.  What he ought to find is what
he would find had he embedded everything anew: each text's ten nearest in the new space.  Measured
is how much of that is found among the old vectors as they are, and among the old vectors turned by
the best orthogonal map.

The map (`procrustes.py`) is found on one half of the texts and judged on the other, where all
searching is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirror.errors import InputError, StoreError
from mirror.evaluation.procrustes import SpaceMap, fit_map
from mirror.store import StageRecord

Floats = NDArray[np.float64]

Verdict = Literal["keep", "rotate", "re-embed"]

COMPATIBILITY = "compatibility.json"
PAGE = "compatibility.html"
MAP = "map.safetensors"
NEAREST = 10
LEAST = 60
"""Texts: 30 to judge by leave each more than twice ten others."""
MOST = 4_000
KEEP = 0.9
"""Share of the nearest that old vectors must find as they are, at the interval's lower end."""
ROTATE = 0.8
"""Likewise when they are rotated; or as they are, where rotating them does not surely find more."""
SEED = 20_210_908
RESAMPLES = 1_000
CONFIDENCE = 0.95
CHUNK = 500
"""Texts compared with all others at a time; bounds memory."""


@dataclass(frozen=True)
class Share:
    """A mean over the texts asked for, with its bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Found:
    """What new vectors find among old ones."""

    overlap: Share
    """Share of the ten nearest that they would find among new ones."""
    recall: Share
    """How often a text's own old vector is among the ten nearest to its new one."""
    cosine: float
    """Mean cosine of a text's two vectors."""


@dataclass(frozen=True)
class Compatibility:
    """An old and a new encoder, on the same texts."""

    fitted: int
    """Texts that the map was found on."""
    judged: int
    """Texts that everything else was measured on."""
    widths: tuple[int, int]
    neighbours: Share
    """Overlap of the ten nearest, each space asked and searched by itself: what users will see
    change."""
    kept: Found | None
    """Old vectors as they are; nothing where the widths differ."""
    rotated: Found
    gained: Share | None
    """Overlap that rotating adds to old vectors as they are; nothing where the widths differ."""
    verdict: Verdict
    reasons: tuple[str, ...]
    """Whole sentences."""


def compare_spaces(
    old: NDArray[np.float32], new: NDArray[np.float32]
) -> tuple[Compatibility, SpaceMap]:
    """Compares two encoders by their vectors of the same texts.

    Args:
        old: (texts, old width), not normalised.
        new: (texts, new width), likewise.

    Returns:
        The report, and the map that it was found with.

    Raises:
        InputError: there are fewer than 60 texts, or a vector is zero or not a number.
    """
    if len(old) < LEAST:
        raise InputError(f"{len(old)} different texts are too few: give {LEAST} or more")
    x, y = unit_rows(old, "old"), unit_rows(new, "new")
    order = np.random.default_rng(SEED).permutation(len(x))
    fit, judge = order[: len(x) // 2], order[len(x) // 2 :]
    found = fit_map(x[fit], y[fit])
    x, y = x[judge], y[judge]
    anew = nearest(y, y, own=False)
    neighbours = interval(overlaps(nearest(x, x, own=False), anew))
    rotated, by_rotated = _find(found.apply(x), y, anew)
    kept = gained = None
    if x.shape[1] == y.shape[1]:
        kept, by_kept = _find(x, y, anew)
        gained = interval(by_rotated - by_kept)
    verdict = decide(kept, rotated, gained)
    widths = (old.shape[1], new.shape[1])
    reasons = (_reason(verdict, kept, rotated, gained), *_remarks(kept, len(fit), widths))
    report = Compatibility(
        len(fit), len(judge), widths, neighbours, kept, rotated, gained, verdict, reasons
    )
    return report, found


def decide(kept: Found | None, rotated: Found, gained: Share | None) -> Verdict:
    """What to do with an index; nobody is sent to rotate one for what is not surely a gain."""
    if kept and kept.overlap.low >= KEEP:
        return "keep"
    served = rotated.overlap.low >= ROTATE
    if kept and gained and gained.low <= 0:
        return "keep" if served or kept.overlap.low >= ROTATE else "re-embed"
    return "rotate" if served else "re-embed"


def nearest(queries: Floats, index: Floats, *, own: bool) -> NDArray[np.int64]:
    """The places of the ten nearest in the index by cosine: (queries, 10), in no order.

    Args:
        queries: (texts, width), of length 1.
        index: likewise, of the same texts.
        own: whether a text's own vector may be among them.
    """
    found = []
    for start in range(0, len(queries), CHUNK):
        cosines = queries[start : start + CHUNK] @ index.T
        if not own:
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -np.inf
        found.append(np.argpartition(-cosines, NEAREST - 1, axis=1)[:, :NEAREST])
    return np.concatenate(found)


def overlaps(found: NDArray[np.int64], expected: NDArray[np.int64]) -> Floats:
    """Of each query, the share of what was expected that was found: (queries,)."""
    both = [len(set(a) & set(b)) for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
    return np.asarray(both, dtype=np.float64) / NEAREST


def interval(values: Floats) -> Share:
    """Mean and percentile bootstrap interval over queries."""
    generator = np.random.default_rng([SEED, len(values)])
    even = np.full(len(values), 1 / len(values))
    counts = generator.multinomial(len(values), even, size=RESAMPLES)
    means = counts @ values / len(values)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Share(float(values.mean()), float(low), float(high))


def unit_rows(vectors: NDArray[np.float32], whose: str) -> Floats:
    """Vectors at length 1.

    Raises:
        InputError: one is zero or not a number.
    """
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise InputError(
            f"the {whose} encoder gives vectors of zeros or nan for some texts: leave out such "
            "texts, or tune it again with a lower learning rate"
        )
    unit: Floats = exact / norms
    return unit


def summary(found: Compatibility) -> tuple[str, str, str]:
    """The report in three lines: the verdict, neighbours, and what an index would give."""
    kept = f"{found.kept.overlap} as they are" if found.kept else "nothing as they are"
    return (
        f"{found.verdict.capitalize()}. {found.reasons[0]}",
        f"Overlap of the {NEAREST} nearest, each encoder asked by itself: {found.neighbours}.",
        f"Of the {NEAREST} nearest, new vectors find among old ones {kept}, "
        f"{found.rotated.overlap} rotated; a text's own old vector, rotated, in "
        f"{found.rotated.recall.mean:.1%} of cases.",
    )


def to_json(found: Compatibility) -> str:
    """The report, JSON, with the thresholds that it was judged by."""
    content = asdict(found) | {"thresholds": {"keep": KEEP, "rotate": ROTATE}}
    return json.dumps(content, indent=1)


def read_compatibility(record: StageRecord) -> Compatibility:
    """What the stage found.

    Raises:
        StoreError: it is gone or damaged.
    """
    path = record.path / COMPATIBILITY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop("thresholds")
        kept = content.pop("kept")
        return Compatibility(
            **content
            | {
                "widths": tuple(content["widths"]),
                "reasons": tuple(content["reasons"]),
                "neighbours": Share(**content["neighbours"]),
                "kept": _read_found(kept) if kept else None,
                "rotated": _read_found(content["rotated"]),
                "gained": Share(**content["gained"]) if kept else None,
            }
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({error}): remove its folder and run again") from (
            error
        )


def _read_found(content: dict[str, Any]) -> Found:
    return Found(Share(**content["overlap"]), Share(**content["recall"]), content["cosine"])


def _find(old: Floats, new: Floats, anew: NDArray[np.int64]) -> tuple[Found, Floats]:
    """What is found, and the overlap of each text."""
    places = np.arange(len(new))[:, None]
    recalled = (nearest(new, old, own=True) == places).any(axis=1).astype(np.float64)
    shares = overlaps(nearest(new, old, own=False), anew)
    cosine = float(np.einsum("ij,ij->i", old, new).mean())
    return Found(interval(shares), interval(recalled), cosine), shares


def _reason(verdict: Verdict, kept: Found | None, rotated: Found, gained: Share | None) -> str:
    turned = rotated.overlap.mean
    if verdict == "keep" and kept and gained:
        surely = KEEP if kept.overlap.low >= KEEP else ROTATE
        sure = f", surely {surely:.0%}" if kept.overlap.low >= surely else ""
        more = f"rotated they would find {turned:.1%}"
        if gained.low <= 0:
            more += ", which is not surely more"
        return (
            f"Asked with new vectors, old ones find {kept.overlap.mean:.1%} of what new ones would"
            f"{sure}; {more}: an index can stay as it is."
        )
    if verdict == "rotate":
        before = f", and {kept.overlap.mean:.1%} as they are" if kept else ""
        return (
            f"Brought over by the map, old vectors find {turned:.1%} of what new ones would, "
            f"surely {ROTATE:.0%}{before}: an index can be rotated instead of made again."
        )
    if kept and gained and gained.low <= 0:
        return (
            f"Old vectors find {kept.overlap.mean:.1%} of what new ones would, not surely "
            f"{ROTATE:.0%}, and not surely more when brought over by the map: make the index again."
        )
    return (
        f"Even brought over by the map, old vectors find {turned:.1%} of what new ones would, "
        f"not surely {ROTATE:.0%}: make the index again."
    )


def _remarks(kept: Found | None, fitted: int, widths: Sequence[int]) -> list[str]:
    said = []
    if kept is None:
        said.append(f"The vectors are {widths[0]:,} and {widths[1]:,} numbers wide.")
    if fitted < max(widths):
        said.append(
            f"The map was found on {fitted:,} texts, fewer than the vectors' {max(widths):,} "
            "numbers: more texts make a better one."
        )
    return said
