"""The gate: whether a tuned encoder may become champion, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirror.evaluation.score_change import ScoreChange
from mirror.recipe import GateSection, Recipe
from mirror.release.smoke_test_result import Probe

COLLAPSED_COSINE = 0.99
"""Mean cosine of random pairs of strings above which vectors say nothing of their strings."""
LEAST_DIFFERENT = 0.5
"""Share of different strings that must have vectors of their own."""
MOST_DIFFERENCE = 1e-4
"""Largest difference of cosines between what was measured and what a consumer gets."""


@dataclass(frozen=True)
class Verdict:
    """The gate's decision, and all that it rests on."""

    promote: bool
    reasons: tuple[str, ...]
    """Whole sentences, the deciding ones first."""
    base: tuple[ScoreChange, ...] = ()
    """From the base to the tuned encoder."""
    champion: tuple[ScoreChange, ...] | None = None
    """From today's champion to the tuned encoder; nothing if there is none."""
    slices: tuple[ScoreChange, ...] = ()
    """Likewise, of the parts that benchmarks fall into."""
    probe: Probe | None = None
    """How the encoder does in a process that knows nothing of us."""


@dataclass(frozen=True)
class GateInput:
    """What the gate looks at."""

    base: tuple[ScoreChange, ...]
    """From the base to the tuned encoder."""
    looks: Mapping[str, Any]
    """Of the tuned encoder; see `mirror.evaluation.kinds.space_diagnostics`."""
    champion: tuple[ScoreChange, ...] | None = None
    """From today's champion to the tuned encoder; nothing if there is none."""
    slices: tuple[ScoreChange, ...] = ()
    """Likewise, of the parts that benchmarks fall into."""
    probe: Probe | None = None
    """How the encoder does in a process that knows nothing of us; nothing if not tried."""


def decide(recipe: Recipe, evidence: GateInput) -> Verdict:
    """Promotes an encoder that is better than its base, no worse than the champion, and sound.

    Better: the mean change is above zero, at least one benchmark's interval lies above zero, and
    none is worse.  Worse: the interval lies below zero and the change is beyond the tolerance; so
    too for the parts of benchmarks, beside the champion.  Sound: the vectors have not collapsed,
    and the encoder answers a consumer as it should, within the recipe's bounds.
    """
    gate, base, champion = recipe.evaluation.gate, evidence.base, evidence.champion
    against = [
        *_unsound((*base, *(champion or ())), evidence.looks),
        *(_unfit(evidence.probe, gate) if evidence.probe else ()),
        *_against_base(base, gate.tolerance),
        *_worse("today's champion", champion or (), gate.tolerance),
        *_worse("today's champion", evidence.slices, gate.slice_tolerance),
    ]
    reasons = against or list(_for(base, champion))
    notes = _notes(base, champion)
    return Verdict(not against, (*reasons, *notes), base, champion, evidence.slices, evidence.probe)


def _for(base: tuple[ScoreChange, ...], champion: tuple[ScoreChange, ...] | None) -> Iterator[str]:
    mean = float(np.mean([found.change for found in base]))
    better = [found for found in base if found.low > 0]
    yield (
        f"Better than its base by {mean:+.3f} on average over {len(base)} benchmark(s); "
        f"surely so on {', '.join(str(found) for found in better)}."
    )
    if champion is None:
        yield "There is no champion yet to compare with."
    else:
        yield f"Not worse than today's champion: {'; '.join(str(found) for found in champion)}."


def _unfit(probe: Probe, gate: GateSection) -> Iterator[str]:
    """What keeps a service from using the encoder."""
    if probe.fault:
        yield f"It does not answer in a process that knows nothing of this project: {probe.fault}."
        return
    if probe.difference > MOST_DIFFERENCE:
        yield (
            f"sentence-transformers gets other vectors than were measured: cosines differ by "
            f"{probe.difference:.1e} (it cannot pool as mean-with-padding does)."
        )
    if gate.max_megabytes is not None and probe.megabytes > gate.max_megabytes:
        yield (
            f"It takes {probe.megabytes:.1f} MB and the recipe allows {gate.max_megabytes:g} "
            "(evaluation.gate.max_megabytes)."
        )
    if gate.max_milliseconds is not None and probe.milliseconds > gate.max_milliseconds:
        yield (
            f"One text takes {probe.milliseconds:.1f} ms and the recipe allows "
            f"{gate.max_milliseconds:g} (evaluation.gate.max_milliseconds)."
        )


def _unsound(differences: tuple[ScoreChange, ...], looks: Mapping[str, Any]) -> Iterator[str]:
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


def _against_base(base: tuple[ScoreChange, ...], tolerance: float) -> Iterator[str]:
    mean = float(np.mean([found.change for found in base]))
    if not mean > 0:
        yield f"Not better than its base: the mean change is {mean:+.3f}."
    elif not any(found.low > 0 for found in base):
        listed = "; ".join(str(found) for found in base)
        yield f"Not surely better than its base on any benchmark: {listed}."
    yield from _worse("its base", base, tolerance)


def _worse(than: str, differences: tuple[ScoreChange, ...], tolerance: float) -> Iterator[str]:
    for found in differences:
        if found.high < 0 and found.change < -tolerance:
            yield f"Worse than {than} on {found}, beyond the tolerance of {tolerance}."


def _notes(
    base: tuple[ScoreChange, ...], champion: tuple[ScoreChange, ...] | None
) -> Iterator[str]:
    for found in base:
        for method, score in sorted(found.baselines.items()):
            if score > found.after:
                yield (
                    f"On {found.benchmark} {method.upper()}, which only matches words, scores "
                    f"{score:.3f} and this encoder {found.after:.3f}: for search where words "
                    "recur, do not use it alone."
                )
    for found in champion or ():
        if found.high < 0:
            yield f"Below today's champion within the tolerance on {found}."
