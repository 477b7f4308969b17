"""Index compatibility: whether an index of old vectors still serves queries of a new encoder.

Ground truth: the ten nearest neighbours when index and queries both use the new encoder.  Measured
is the share of them that new queries find among old vectors, unchanged and rotated by the best
orthogonal map (`procrustes.py`).  The map is fitted on one half of the texts; all searching is done
on the other half.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirror.errors import InputError
from mirror.evaluation.bootstrap import Estimate, mean_interval
from mirror.evaluation.procrustes import SpaceMap, fit_map
from mirror.rendering import fill_template
from mirror.stage_files import reading
from mirror.store import StageRecord

Floats = NDArray[np.float64]
Advice = Literal["keep", "rotate", "re-embed"]

COMPATIBILITY = "compatibility.json"
PAGE = "compatibility.html"
MAP = "map.safetensors"
COMPATIBILITY_TEMPLATE = "compatibility.html.j2"
NEAREST = 10
MIN_TEXTS = 60
"""Half of them are searched: each has 29 others, more than twice the ten neighbours."""
MAX_TEXTS = 4_000
KEEP = 0.9
"""Lower end of the overlap's interval from which an index can stay unchanged."""
ROTATE = 0.8
"""As `KEEP`, for rotated vectors, and for unchanged ones that rotating does not improve."""
SEED = 20_210_908
RESAMPLES = 1_000
CONFIDENCE = 0.95
CHUNK = 500
"""Texts compared with all others at a time; bounds memory."""


@dataclass(frozen=True)
class SearchQuality:
    """What new queries find among old vectors."""

    overlap: Estimate
    """Share of the ten nearest neighbours among new vectors that is found."""
    recall: Estimate
    """How often a text's old vector is among the ten nearest to its new one."""
    cosine: float
    """Mean cosine of a text's old and new vector."""


@dataclass(frozen=True)
class Compatibility:
    """Comparison of an old and a new encoder on the same texts."""

    fitted: int
    """Texts that the map was fitted on."""
    judged: int
    """Texts that everything else was measured on."""
    widths: tuple[int, int]
    """Dimensions of old and new embeddings."""
    neighbours: Estimate
    """Overlap of the ten nearest within the old space and within the new space: the change that
    users of a new index will see."""
    kept: SearchQuality | None
    """For unchanged old vectors; None if the dimensions differ."""
    rotated: SearchQuality
    """For rotated old vectors."""
    gained: Estimate | None
    """Overlap that rotating adds; None if the dimensions differ."""
    verdict: Advice
    reasons: tuple[str, ...]
    """Whole sentences."""


def compare_spaces(
    old: NDArray[np.float32], new: NDArray[np.float32]
) -> tuple[Compatibility, SpaceMap]:
    """Compare two encoders by their embeddings of the same texts.

    Args:
        old: (texts, old dimension), not normalised.
        new: (texts, new dimension), not normalised.

    Returns:
        The comparison and the fitted map.

    Raises:
        InputError: there are fewer than 60 texts, or a vector is zero or not a number.
    """
    if len(old) < MIN_TEXTS:
        raise InputError(f"{len(old)} different texts are too few: give {MIN_TEXTS} or more")
    x, y = checked_unit_rows(old, "old"), checked_unit_rows(new, "new")
    order = np.random.default_rng(SEED).permutation(len(x))
    fit, judge = order[: len(x) // 2], order[len(x) // 2 :]
    space_map = fit_map(x[fit], y[fit])
    x, y = x[judge], y[judge]
    anew = nearest(y, y, include_self=False)
    neighbours = _interval(overlaps(nearest(x, x, include_self=False), anew))
    rotated, by_rotated = _search(space_map.apply(x), y, anew)
    kept = gained = None
    if x.shape[1] == y.shape[1]:
        kept, by_kept = _search(x, y, anew)
        gained = _interval(by_rotated - by_kept)
    verdict = decide(kept, rotated, gained)
    widths = (old.shape[1], new.shape[1])
    reasons = (_reason(verdict, kept, rotated, gained), *_remarks(kept, len(fit), widths))
    report = Compatibility(
        len(fit), len(judge), widths, neighbours, kept, rotated, gained, verdict, reasons
    )
    return report, space_map


def decide(kept: SearchQuality | None, rotated: SearchQuality, gained: Estimate | None) -> Advice:
    """Return what to do with an index; rotating is advised only if it is significantly better."""
    if kept and kept.overlap.low >= KEEP:
        return "keep"
    served = rotated.overlap.low >= ROTATE
    if kept and gained and gained.low <= 0:
        return "keep" if served or kept.overlap.low >= ROTATE else "re-embed"
    return "rotate" if served else "re-embed"


def nearest(queries: Floats, index: Floats, *, include_self: bool) -> NDArray[np.int64]:
    """Return the indices of the ten nearest by cosine, unordered: (queries, 10).

    Args:
        queries: unit vectors (texts, dimension).
        index: unit vectors of the same texts.
        include_self: whether the text itself may be among them.
    """
    neighbours = []
    for start in range(0, len(queries), CHUNK):
        cosines = queries[start : start + CHUNK] @ index.T
        if not include_self:
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -np.inf
        neighbours.append(np.argpartition(-cosines, NEAREST - 1, axis=1)[:, :NEAREST])
    return np.concatenate(neighbours)


def overlaps(retrieved: NDArray[np.int64], expected: NDArray[np.int64]) -> Floats:
    """Return the share of each query's expected neighbours that was retrieved: (queries,)."""
    shared = [
        len(set(a) & set(b)) for a, b in zip(retrieved.tolist(), expected.tolist(), strict=True)
    ]
    return np.asarray(shared, dtype=np.float64) / NEAREST


def _interval(values: Floats) -> Estimate:
    return mean_interval(values, resamples=RESAMPLES, confidence=CONFIDENCE)


def checked_unit_rows(vectors: NDArray[np.float32], name: str) -> Floats:
    """Return the vectors (texts, dimension) scaled to length 1; errors name the encoder."""
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise InputError(
            f"the {name} encoder gives vectors of zeros or nan for some texts: leave out such "
            "texts, or tune it again with a lower learning rate"
        )
    unit: Floats = exact / norms
    return unit


def summary(comparison: Compatibility) -> tuple[str, str, str]:
    """Return the comparison in three lines: the advice, neighbours, and search quality."""
    unchanged = (
        f"{comparison.kept.overlap} unchanged"
        if comparison.kept
        else "none unchanged (the dimensions differ)"
    )
    return (
        f"{comparison.verdict.capitalize()}. {comparison.reasons[0]}",
        f"Overlap of the {NEAREST} nearest within each encoder's space: {comparison.neighbours}.",
        f"Of the {NEAREST} nearest, new queries find among old vectors {unchanged}, "
        f"{comparison.rotated.overlap} rotated; a text's rotated vector in "
        f"{comparison.rotated.recall.mean:.1%} of cases.",
    )


def render_compatibility(old: str, new: str, comparison: Compatibility) -> str:
    """Return a self-contained HTML page; `old` and `new` are the encoders' names."""
    return fill_template(
        COMPATIBILITY_TEMPLATE,
        {
            "old": old,
            "new": new,
            "comparison": comparison,
            "nearest": NEAREST,
            "thresholds": {"keep": f"{KEEP:.0%}", "rotate": f"{ROTATE:.0%}"},
            "interval": f"{CONFIDENCE:.0%}",
        },
    )


def to_json(comparison: Compatibility) -> str:
    """Return the comparison as JSON, with the thresholds."""
    content = asdict(comparison) | {"thresholds": {"keep": KEEP, "rotate": ROTATE}}
    return json.dumps(content, indent=1)


def read_compatibility(record: StageRecord) -> Compatibility:
    """Return the comparison that the stage wrote.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = record.path / COMPATIBILITY
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop("thresholds")
        kept = content.pop("kept")
        return Compatibility(
            **content
            | {
                "widths": tuple(content["widths"]),
                "reasons": tuple(content["reasons"]),
                "neighbours": Estimate(**content["neighbours"]),
                "kept": _read_quality(kept) if kept else None,
                "rotated": _read_quality(content["rotated"]),
                "gained": Estimate(**content["gained"]) if kept else None,
            }
        )


def _read_quality(content: dict[str, Any]) -> SearchQuality:
    return SearchQuality(
        Estimate(**content["overlap"]), Estimate(**content["recall"]), content["cosine"]
    )


def _search(old: Floats, new: Floats, anew: NDArray[np.int64]) -> tuple[SearchQuality, Floats]:
    """Return the search quality, and the overlap of each text."""
    rows = np.arange(len(new))[:, None]
    recalled = (nearest(new, old, include_self=True) == rows).any(axis=1).astype(np.float64)
    shares = overlaps(nearest(new, old, include_self=False), anew)
    cosine = float(np.einsum("ij,ij->i", old, new).mean())
    return SearchQuality(_interval(shares), _interval(recalled), cosine), shares


def _reason(
    advice: Advice,
    kept: SearchQuality | None,
    rotated: SearchQuality,
    gained: Estimate | None,
) -> str:
    after = f"{rotated.overlap.mean:.1%}"
    is_better = gained is None or gained.low > 0
    if advice == "keep" and kept:
        comparison = "significantly" if is_better else "not significantly"
        threshold = KEEP if kept.overlap.low >= KEEP else ROTATE
        return (
            f"New queries find {kept.overlap.mean:.1%} of their nearest neighbours among unchanged "
            f"old vectors (interval above {threshold:.0%}) and {after} among rotated ones "
            f"({comparison} more): an index can stay as it is."
        )
    if advice == "rotate":
        before = f", and {kept.overlap.mean:.1%} among unchanged ones" if kept else ""
        return (
            f"New queries find {after} of their nearest neighbours among rotated old vectors "
            f"(interval above {ROTATE:.0%}){before}: an index can be rotated instead of rebuilt."
        )
    if kept and not is_better:
        return (
            f"New queries find only {kept.overlap.mean:.1%} of their nearest neighbours among old "
            f"vectors (interval below {ROTATE:.0%}), and rotating is not significantly better: "
            "rebuild the index."
        )
    return (
        f"New queries find only {after} of their nearest neighbours among rotated old vectors "
        f"(interval below {ROTATE:.0%}): rebuild the index."
    )


def _remarks(kept: SearchQuality | None, fitted: int, widths: Sequence[int]) -> list[str]:
    remarks = []
    if kept is None:
        remarks.append(f"The dimensions differ: {widths[0]:,} and {widths[1]:,}.")
    if fitted < max(widths):
        remarks.append(
            f"The map was fitted on {fitted:,} texts, fewer than the {max(widths):,} dimensions: "
            "more texts give a better one."
        )
    return remarks
