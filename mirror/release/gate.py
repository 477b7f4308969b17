"""Promotion gate: whether a tuned encoder may become champion, with reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mirror.evaluation.score_change import BaseReading, MetricSummary, ScoreChange
from mirror.evaluation.significance import adjusted_p_values
from mirror.evaluation.storage_loss import StorageLoss
from mirror.recipe import GateSection, Recipe

MAX_MEAN_COSINE = 0.99
"""Mean cosine of random pairs of strings above which the vectors have collapsed."""
MIN_UNIQUE_FRACTION = 0.5
"""Share of distinct strings that must have distinct vectors."""
FEWEST_DIFFERING = 10
"""Items whose predictions must differ for an improvement to count."""
ROUNDING = 5e-4
"""Half of the last digit of a score that is shown."""
MAX_COSINE_DIFFERENCE = 1e-4
"""Largest difference of cosines between the evaluation and the smoke test."""


@dataclass(frozen=True)
class SmokeTestResult:
    """How an encoder behaves in a clean process with sentence-transformers only."""

    fault: str = ""
    """Why the encoder gives no vectors; empty if it does, and the rest holds then."""
    difference: float = math.inf
    """Largest difference between the strings' cosines and those of `Encoder`."""
    milliseconds: float = math.inf
    """Median time of one text on one CPU thread."""
    megabytes: float = math.inf
    """Size of the encoder's folder."""


@dataclass(frozen=True)
class GateInput:
    """Score changes, diagnostics and smoke test for the gate."""

    base: tuple[ScoreChange, ...] = ()
    """From the base's best reading to the tuned encoder."""
    readings: tuple[BaseReading, ...] = ()
    """The base in each reading that was scored, that of `base` first."""
    mean_cosine: float = 0.0
    """Mean cosine of random pairs of strings; see `space_diagnostics`."""
    unique_fraction: float = 1.0
    """Share of distinct strings that have distinct vectors; see `space_diagnostics`."""
    champion: tuple[ScoreChange, ...] | None = None
    """From the champion to the tuned encoder; None if there is no champion."""
    slices: tuple[ScoreChange, ...] = ()
    """As `champion`, for subsets of benchmarks."""
    storage: tuple[StorageLoss, ...] = ()
    """What fewer dimensions and rounding cost; the tuned encoder is judged with both."""
    champion_overlap: str = ""
    """Why the champion may have been tuned on documents that it is judged by, or empty."""
    unseen_loss: str = ""
    """Why a loss of general quality would not be seen, or empty."""
    guard: MetricSummary | None = None
    """From the base's best reading to the tuned encoder; None if the recipe has no guard."""
    smoke_test: SmokeTestResult | None = None
    """None if it was not run."""


@dataclass(frozen=True)
class Verdict:
    """The gate's decision with its reasons and input."""

    promote: bool
    reasons: tuple[str, ...]
    """Whole sentences, the deciding ones first."""
    input: GateInput = field(default_factory=GateInput)


def decide(recipe: Recipe, given: GateInput) -> Verdict:
    """Return whether an encoder is better than its base, not worse than the champion, and sound.

    Better: the mean change reaches the recipe's least gain, the change on at least one benchmark
    is significant, and none is worse.  Significant: the p-value of a paired permutation test,
    corrected for the number of benchmarks, is at most 1 minus the recipe's confidence; at least ten
    items differ, and the score is above chance.  Worse: the bootstrap interval lies below zero and
    the loss exceeds the recipe's tolerance; subsets are compared with the champion only.  A guard
    may fall by its tolerance.  Sound: the vectors have not collapsed, and the smoke test is within
    the recipe's limits.
    """
    gate, base, champion = recipe.evaluation.gate, given.base, given.champion
    objections = [
        *_unsound(given),
        *(_unfit(given.smoke_test, gate) if given.smoke_test else ()),
        *_against_base(base, given.readings, gate),
        *_below_guard(given.guard, recipe.evaluation.guard_tolerance),
        *_worse("the champion", champion or (), gate.tolerance),
        *_worse("the champion", given.slices, gate.slice_tolerance),
    ]
    reasons = objections or list(_for(base, champion, given.readings, gate.confidence))
    if given.guard and not objections:
        reasons.append(f"The guard holds: {_guard_words(given.guard)}.")
    losses = map(str, given.storage)
    other = _notes(base, champion, gate.least_gain)
    readings, overlap = _other_readings(given.readings), _overlap(given.champion_overlap)
    notes = (*readings, *losses, *other, *overlap, *_unseen_loss(given.unseen_loss))
    return Verdict(not objections, (*reasons, *notes), given)


def _for(
    base: tuple[ScoreChange, ...],
    champion: tuple[ScoreChange, ...] | None,
    readings: tuple[BaseReading, ...],
    confidence: float,
) -> Iterator[str]:
    mean = float(np.mean([change.change for change in base]))
    listed = ", ".join(map(str, _significant(base, confidence)))
    yield (
        f"Significantly better than {_base_words(readings)}, by {mean:+.3f} on average over "
        f"{len(base)} benchmark(s): {listed}."
    )
    if champion is None:
        yield "There is no champion to compare with yet."
    else:
        yield f"Not worse than the champion: {'; '.join(str(change) for change in champion)}."


def _unfit(result: SmokeTestResult, gate: GateSection) -> Iterator[str]:
    """Yield the reasons why a service could not use the encoder."""
    if result.fault:
        yield f"The smoke test failed, sentence-transformers cannot use it: {result.fault}."
        return
    if result.difference > MAX_COSINE_DIFFERENCE:
        yield (
            f"sentence-transformers gives other vectors than the evaluation: cosines differ by "
            f"{result.difference:.1e} (it has no pooling like mean-with-padding)."
        )
    if gate.max_megabytes is not None and result.megabytes > gate.max_megabytes:
        yield (
            f"It takes {result.megabytes:.1f} MB; the recipe allows {gate.max_megabytes:g} "
            "(evaluation.gate.max_megabytes)."
        )
    if gate.max_milliseconds is not None and result.milliseconds > gate.max_milliseconds:
        yield (
            f"One text takes {result.milliseconds:.1f} ms; the recipe allows "
            f"{gate.max_milliseconds:g} (evaluation.gate.max_milliseconds)."
        )


def _unsound(given: GateInput) -> Iterator[str]:
    for change in (*given.base, *(given.champion or ())):
        if not math.isfinite(change.after):
            yield f"The score on {change.benchmark} is not a number."
        elif not all(map(math.isfinite, (change.change, change.low, change.high))):
            yield f"The change or its interval is not a number on {change}."
    if not given.mean_cosine <= MAX_MEAN_COSINE:
        yield (
            f"The vectors have collapsed: random strings have a mean cosine of "
            f"{given.mean_cosine:.4f}, above {MAX_MEAN_COSINE}."
        )
    if not given.unique_fraction >= MIN_UNIQUE_FRACTION:
        yield f"Only {given.unique_fraction:.0%} of distinct strings have distinct vectors."


def _base_words(readings: tuple[BaseReading, ...]) -> str:
    return f"the base {readings[0].words}" if readings else "the base"


def _other_readings(readings: tuple[BaseReading, ...]) -> Iterator[str]:
    for reading in readings[1:]:
        yield f"The base {reading.words} scores {reading.mean:.3f}."


def _overlap(reason: str) -> Iterator[str]:
    if reason:
        yield (
            "The champion may have been tuned on documents that it is judged by, which favours it: "
            f"{reason}."
        )


def _unseen_loss(reason: str) -> Iterator[str]:
    if reason:
        yield f"{reason[0].upper()}{reason[1:]}."


def _significant(base: tuple[ScoreChange, ...], confidence: float) -> list[ScoreChange]:
    """Return the changes that are evidence of an improvement."""
    adjusted = adjusted_p_values([1.0 if change.p is None else change.p for change in base])
    return [
        change
        for change, p in zip(base, adjusted, strict=True)
        if p <= 1 - confidence
        and change.change > 0
        and change.differing >= FEWEST_DIFFERING
        and not change.is_at_chance
    ]


def _against_base(
    base: tuple[ScoreChange, ...], readings: tuple[BaseReading, ...], gate: GateSection
) -> Iterator[str]:
    mean = float(np.mean([change.change for change in base]))
    if not mean > 0:
        before, after = (
            float(np.mean([getattr(change, side) for change in base]))
            for side in ("before", "after")
        )
        yield (
            f"No improvement over {_base_words(readings)}: it scores {before:.3f}, the tuned "
            f"encoder {after:.3f}; the mean change is {mean:+.3f}."
        )
    elif mean < gate.least_gain:
        yield (
            f"No improvement over {_base_words(readings)} that is worth a new encoder: the mean "
            f"change is {mean:+.4f}, below the least gain of {gate.least_gain:g} "
            "(evaluation.gate.least_gain)."
        )
    elif not _significant(base, gate.confidence):
        listed = "; ".join(f"{change}{_weakness(change)}" for change in base)
        corrected = f", corrected for {len(base)} benchmarks" if len(base) > 1 else ""
        yield (
            f"No significant improvement over {_base_words(readings)} (p at most "
            f"{1 - gate.confidence:.2g}{corrected}): {listed}."
        )
    yield from _worse("the base", base, gate.tolerance)


def _weakness(change: ScoreChange) -> str:
    """Return why a change is no evidence, apart from its p-value."""
    if change.is_at_chance:
        return f", no better than chance ({change.chance:.3f})"
    if change.differing < FEWEST_DIFFERING:
        return f", {change.differing} of {change.n} items differ"
    return ""


def _worse(than: str, changes: tuple[ScoreChange, ...], tolerance: float) -> Iterator[str]:
    for change in changes:
        if change.high < 0 and change.change < -tolerance:
            yield f"Worse than {than} on {change}; the loss exceeds the tolerance of {tolerance}."


def _below_guard(guard: MetricSummary | None, tolerance: float) -> Iterator[str]:
    if guard is not None and not guard.after >= guard.before - tolerance:
        yield (
            f"General quality is lost: {_guard_words(guard)}, and the recipe allows a fall of "
            f"{tolerance:g} (evaluation.guard_tolerance)."
        )


def _guard_words(guard: MetricSummary) -> str:
    return f"{guard.benchmark} goes from {guard.before:.3f} to {guard.after:.3f}"


def _notes(
    base: tuple[ScoreChange, ...], champion: tuple[ScoreChange, ...] | None, least_gain: float
) -> Iterator[str]:
    for change in base:
        for method, score in sorted(change.baselines.items()):
            if score > change.after:
                yield (
                    f"On {change.benchmark}, {method} scores {score:.3f} and this encoder "
                    f"{change.after:.3f}: for such texts, do not use this encoder alone."
                )
    for method in sorted({name for change in base for name in change.joined}):
        having = [change for change in base if method in change.joined]
        yield _joined_words(method, having, least_gain)
    for change in champion or ():
        if change.high < 0:
            yield f"Significantly below the champion, within the tolerance, on {change}."


def _joined_words(method: str, changes: list[ScoreChange], least_gain: float) -> str:
    """Return a sentence on whether an encoder adds at least the least gain to another method."""
    gains = {each.benchmark: each.joined[method] - each.baselines[method] for each in changes}
    better = [each for each in changes if gains[each.benchmark] >= max(least_gain, ROUNDING)]
    listed = "; ".join(
        f"{change.benchmark} {change.baselines[method]:.3f} to {change.joined[method]:.3f} "
        f"(the encoder alone {change.after:.3f})"
        for change in changes
    )
    where = {0: "nowhere", len(changes): "everywhere"}.get(
        len(better), f"on {', '.join(change.benchmark for change in better)}"
    )
    return f"Joined with {method} by reciprocal ranks it adds to {method} {where}: {listed}."
