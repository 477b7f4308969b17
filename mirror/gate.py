"""The gate: whether a tuned encoder may become champion, in words and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mirror.errors import StoreError
from mirror.recipe import GateSection, Recipe
from mirror.scoring import Predictions, paired_bootstrap, statistic_of
from mirror.store import StageRecord

COLLAPSED_COSINE = 0.99
"""Mean cosine of random pairs of strings above which vectors say nothing of their strings."""
LEAST_DIFFERENT = 0.5
"""Share of different strings that must have vectors of their own."""


@dataclass(frozen=True)
class Difference:
    """One benchmark, two encoders."""

    benchmark: str
    before: float
    after: float
    change: float
    low: float
    """Lower end of the change's bootstrap interval."""
    high: float
    n: int
    """Items scored."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """Scores of other methods on the same items, such as `bm25`."""

    def __str__(self) -> str:
        return (
            f"{self.benchmark}: {self.before:.3f} to {self.after:.3f}, "
            f"{self.change:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        )


@dataclass(frozen=True)
class Verdict:
    """The gate's decision, and all that it rests on."""

    promote: bool
    reasons: tuple[str, ...]
    """Whole sentences, the deciding ones first."""
    base: tuple[Difference, ...] = ()
    """From the base to the tuned encoder."""
    champion: tuple[Difference, ...] | None = None
    """From today's champion to the tuned encoder; nothing if there is none."""


def compare(before: StageRecord, after: StageRecord, gate: GateSection) -> tuple[Difference, ...]:
    """Two evaluations of the same benchmarks, by paired bootstrap; those not gated are left out.

    Raises:
        StoreError: an evaluation's folder is damaged, or they measured different benchmarks.
        BenchmarkError: they measured different items, or a benchmark's scores hardly differ.
    """
    folders = (before.folder, after.folder)
    digests = (before.digest, after.digest)
    return _compare(folders, digests, gate.resamples, gate.confidence)


def decide(
    recipe: Recipe,
    base: tuple[Difference, ...],
    champion: tuple[Difference, ...] | None,
    looks: Mapping[str, Any],
) -> Verdict:
    """Promotes an encoder that is better than its base, no worse than the champion, and sound.

    Better: the mean change is above zero, at least one benchmark's interval lies above zero, and
    none is worse.  Worse: the interval lies below zero and the change is beyond the tolerance.
    """
    tolerance = recipe.evaluation.gate.tolerance
    unsound = tuple(_unsound((*base, *(champion or ())), looks))
    against = [*unsound, *_against_base(base, tolerance)]
    if champion is not None:
        against.extend(_worse("today's champion", champion, tolerance))
    notes = tuple(_notes(base, champion))
    if against:
        return Verdict(False, (*against, *notes), base, champion)
    mean = float(np.mean([found.change for found in base]))
    better = [found for found in base if found.low > 0]
    reasons = [
        f"Better than its base by {mean:+.3f} on average over {len(base)} benchmark(s); "
        f"surely so on {', '.join(str(found) for found in better)}."
    ]
    if champion is None:
        reasons.append("There is no champion yet to compare with.")
    else:
        listed = "; ".join(str(found) for found in champion)
        reasons.append(f"Not worse than today's champion: {listed}.")
    return Verdict(True, (*reasons, *notes), base, champion)


def _unsound(differences: tuple[Difference, ...], looks: Mapping[str, Any]) -> Iterator[str]:
    for found in differences:
        if not math.isfinite(found.after):
            yield f"The score on {found.benchmark} is not a number."
        elif not all(map(math.isfinite, (found.change, found.low, found.high))):
            yield f"The change's interval is not made of numbers on {found}."
    cosine, different = float(looks["mean_cosine"]), float(looks["different"])
    if not cosine <= COLLAPSED_COSINE:
        yield (
            f"The vectors have collapsed: random strings have a mean cosine of {cosine:.4f}, above "
            f"{COLLAPSED_COSINE}."
        )
    if not different >= LEAST_DIFFERENT:
        yield f"Only {different:.0%} of different strings have vectors of their own."


def _against_base(base: tuple[Difference, ...], tolerance: float) -> Iterator[str]:
    mean = float(np.mean([found.change for found in base]))
    if not mean > 0:
        yield f"Not better than its base: the mean change is {mean:+.3f}."
    elif not any(found.low > 0 for found in base):
        listed = "; ".join(str(found) for found in base)
        yield f"Not surely better than its base on any benchmark: {listed}."
    yield from _worse("its base", base, tolerance)


def _worse(than: str, differences: tuple[Difference, ...], tolerance: float) -> Iterator[str]:
    for found in differences:
        if found.high < 0 and found.change < -tolerance:
            yield f"Worse than {than} on {found}, beyond the tolerance of {tolerance}."


def _notes(base: tuple[Difference, ...], champion: tuple[Difference, ...] | None) -> Iterator[str]:
    for found in base:
        for method, score in sorted(found.beside.items()):
            if score > found.after:
                yield (
                    f"On {found.benchmark} {method.upper()}, which only matches words, scores "
                    f"{score:.3f} and this encoder {found.after:.3f}: for search where words "
                    "recur, do not use it alone."
                )
    for found in champion or ():
        if found.high < 0:
            yield f"Below today's champion within the tolerance on {found}."


@lru_cache(maxsize=64)
def _compare(
    folders: tuple[str, str], digests: tuple[str, str], resamples: int, confidence: float
) -> tuple[Difference, ...]:
    scores = [_scores(folder) for folder in folders]
    if scores[0].keys() != scores[1].keys():
        raise StoreError(f"{folders[0]} and {folders[1]} measured different benchmarks")
    differences = []
    for name, after in scores[1].items():
        if not after.get("gated", True):
            continue
        metric = str(after["metric"])
        before_part, after_part = (partial(_predictions, folder, metric) for folder in folders)
        parts = [(before_part(member), after_part(member)) for member in after.get("of", [name])]
        was, now = float(scores[0][name]["score"]), float(after["score"])
        found = paired_bootstrap(parts, now - was, name, resamples=resamples, confidence=confidence)
        differences.append(
            Difference(
                name,
                was,
                now,
                found.change,
                found.low,
                found.high,
                int(after["n"]),
                after.get("beside", {}),
            )
        )
    return tuple(differences)


def _scores(folder: str) -> dict[str, Any]:
    path = Path(folder) / "scores.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    return content


def _predictions(folder: str, metric: str, benchmark: str) -> Predictions:
    path = Path(folder) / "predictions" / f"{benchmark}.parquet"
    try:
        table = pq.read_table(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    gold = None
    if table["gold"].null_count < table.num_rows:
        gold = table["gold"].to_numpy()
    subsets = tuple(table["subset"].to_pylist())
    return Predictions(subsets, table["predicted"].to_numpy(), gold, statistic_of(metric))
