"""Verdicts on measured values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.experiments.results import NOT_MEASURED, Measured, judge, judge_order

VALUES = st.floats(min_value=-1, max_value=1)


def one(value: float) -> Measured:
    return Measured((value,))


def test_mean_and_spread_are_over_seeds() -> None:
    cell = Measured((0.70, 0.72, 0.74))
    assert cell.mean == pytest.approx(0.72)
    assert cell.spread == pytest.approx(0.02)
    assert one(0.7).spread == 0.0


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (0.743, "reproduced"),
        (0.752, "reproduced"),  # .009 off, which floating point makes a little more
        (0.734, "reproduced"),
        (0.7521, "better"),
        (0.7339, "worse"),
    ],
)
def test_within_the_tolerance_is_reproduced(ours: float, verdict: str) -> None:
    assert judge(0.743, one(ours), 0.009) == verdict


def test_our_own_spread_widens_the_band_by_twice() -> None:
    wide = Measured((0.70, 0.72, 0.74))  # mean .72, spread .02
    assert judge(0.77, wide, 0.01) == "reproduced"  # .05 off: .01 + 2 x .02
    assert judge(0.771, wide, 0.01) == "worse"
    assert judge(0.77, one(0.72), 0.01) == "worse"


def test_a_cell_without_values_is_not_run() -> None:
    assert judge(0.5, NOT_MEASURED, 0.01) == "not run"


def test_less_can_be_better() -> None:
    assert judge(13.79, one(2.0), 0.4, lower_is_better=True) == "better"
    assert judge(13.79, one(20.0), 0.4, lower_is_better=True) == "worse"


@given(VALUES, VALUES, st.floats(min_value=0.001, max_value=0.5))
def test_better_and_worse_are_mirror_images(first: float, second: float, tolerance: float) -> None:
    forward, backward = judge(first, one(second), tolerance), judge(second, one(first), tolerance)
    opposite = {"better": "worse", "worse": "better", "reproduced": "reproduced"}
    assert backward == opposite[forward]
    assert (forward == "reproduced") == (abs(first - second) <= tolerance + 1e-9)


def order(cells: list[Measured], tolerance: float = 0.0) -> str:
    """Return the verdict for wide published steps."""
    published = [1.0 - position for position in range(len(cells))]
    return judge_order(cells, published, tolerance)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.7, 0.6, 0.5], "holds"),
        ([0.7, 0.7, 0.5], "unclear"),
        ([0.7, 0.5, 0.6], "does not hold"),
        ([0.7, 0.7, 0.8], "does not hold"),
        ([0.5, 0.6], "does not hold"),
    ],
)
def test_every_step_of_an_ordering_counts(values: list[float], verdict: str) -> None:
    assert order([one(value) for value in values]) == verdict


def test_an_ordering_with_a_gap_is_not_run() -> None:
    assert order([one(0.7), NOT_MEASURED, one(0.5)]) == "not run"


def test_a_step_within_the_seeds_noise_is_unclear_either_way() -> None:
    high, low = Measured((0.60, 0.62, 0.64)), Measured((0.58, 0.60, 0.62))
    assert order([high, low]) == "unclear"
    assert order([low, high]) == "unclear"
    # The error of the difference is sqrt(2 x .02^2 / 3) = .0163: .04 is more than twice that.
    far = Measured((0.56, 0.58, 0.60))
    assert math.isclose(high.mean - far.mean, 0.04)
    assert order([high, far]) == "holds"
    assert order([far, high]) == "does not hold"


def test_a_raw_base_has_no_noise_of_its_own() -> None:
    tuned = Measured((0.60, 0.62, 0.64))  # error .0115
    assert order([tuned, one(0.596)]) == "holds"
    assert order([tuned, one(0.598)]) == "unclear"


def test_a_step_within_the_tables_tolerance_is_no_step() -> None:
    assert order([one(0.681), one(0.680)], 0.01) == "unclear"
    assert order([one(0.680), one(0.689)], 0.01) == "unclear"
    assert order([one(0.695), one(0.680)], 0.01) == "holds"
    assert order([one(0.680), one(0.695)], 0.01) == "does not hold"


def test_a_published_step_below_the_tolerance_can_hold() -> None:
    cells = [one(0.726), one(0.717), one(0.651)]
    assert judge_order(cells, [0.726, 0.717, 0.651], 0.01) == "holds"
    assert (
        judge_order([one(0.721), one(0.717)], [0.726, 0.717], 0.01) == "unclear"
    )  # .0045 at least
    assert judge_order([one(0.722), one(0.717)], [0.726, 0.717], 0.01) == "holds"
    assert judge_order([one(0.717), one(0.722)], [0.726, 0.717], 0.01) == "does not hold"
