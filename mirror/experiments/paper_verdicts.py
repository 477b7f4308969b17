"""What a measured value says of the published one, and measured values of a published ordering."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Verdict = Literal["reproduced", "better", "worse", "not run"]
Ordering = Literal["holds", "unclear", "does not hold", "not run"]

ROUNDING = 1e-9
"""What adding and subtracting decimal fractions may be off by."""


@dataclass(frozen=True)
class Measured:
    """One cell's values, one for each seed; one alone where no seed has a part in it."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds (n - 1); 0 for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


def judge(
    published: float, ours: Measured | None, tolerance: float, *, lower_is_better: bool = False
) -> Verdict:
    """Compares a measured value with the published one.

    Reproduced is what differs by no more than the tolerance and twice our own spread over seeds.
    """
    if ours is None:
        return "not run"
    difference = ours.mean - published
    if abs(difference) <= tolerance + 2 * ours.spread + ROUNDING:
        return "reproduced"
    return "better" if (difference > 0) != lower_is_better else "worse"


def judge_order(
    cells: Sequence[Measured | None], published: Sequence[float], tolerance: float
) -> Ordering:
    """Whether values fall from each cell to the next, as the paper says that they do.

    Each step must be larger than the table's tolerance, or than half of the published step where
    that is less, and than twice the standard error of the difference of its two means.  It does not
    hold if one step is as much the other way, and is unclear if one is smaller than that.  A single
    seed shows no spread: there the tolerance is all that keeps chance out.

    Args:
        cells: ours, largest first by the paper.
        published: the paper's values of the same cells.
        tolerance: the table's.
    """
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        return "not run"
    least = [min(tolerance, abs(one - other) / 2) for one, other in pairwise(published)]
    steps = [_step(*pair, each) for pair, each in zip(pairwise(known), least, strict=True)]
    if "down" in steps:
        return "does not hold"
    return "unclear" if "level" in steps else "holds"


def _step(first: Measured, second: Measured, least: float) -> Literal["up", "level", "down"]:
    noise = max(least, 2 * (_squared_error(first) + _squared_error(second)) ** 0.5)
    difference = first.mean - second.mean
    if abs(difference) <= noise + ROUNDING:
        return "level"
    return "up" if difference > 0 else "down"


def _squared_error(cell: Measured) -> float:
    return cell.spread**2 / len(cell.values)
