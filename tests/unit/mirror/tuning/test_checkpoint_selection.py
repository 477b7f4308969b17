from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirror.evaluation.kinds.space_diagnostics import alignment, uniformity
from mirror.tuning.checkpoint_selection import alignment_and_uniformity, best_step, hold_out
from mirror.tuning.views import TextPair


def test_a_twentieth_is_held_out_by_the_seed_and_no_equal_string_stays() -> None:
    items = [TextPair(f"string {number % 200}", f"string {number % 200}") for number in range(600)]
    seen, held = hold_out(items, 42)
    assert len(held) == len(set(held)) == 10
    assert not set(seen) & set(held)
    assert seen == [item for item in items if item not in set(held)]
    assert (seen, held) == hold_out(items, 42)
    assert set(held) != set(hold_out(items, 43)[1])


@pytest.mark.parametrize(("items", "expected"), [(3, 2), (41, 3), (10_001, 500), (50_000, 500)])
def test_as_many_are_held_out_as_are_needed(items: int, expected: int) -> None:
    seen, held = hold_out([TextPair(str(number), "x") for number in range(items)], 1)
    assert (len(held), len(seen)) == (expected, items - expected)


def test_the_measures_are_those_of_wang_and_isola() -> None:
    first, second = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(3))
    near, even = alignment_and_uniformity(first * 3, second)
    sides = first.numpy(), second.numpy()
    assert near == pytest.approx(alignment(*sides), abs=1e-6)
    assert even == pytest.approx(np.mean([uniformity(side) for side in sides]), abs=1e-6)


def test_two_opposite_texts_are_as_far_apart_as_can_be() -> None:
    first = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    assert alignment_and_uniformity(first, first) == pytest.approx((0, -8))
    assert alignment_and_uniformity(first, -first) == pytest.approx((4, -8))


@given(st.lists(st.tuples(st.floats(0, 4), st.floats(-8, 0)), min_size=1))
def test_the_best_step_is_the_first_of_least_sum(found: list[tuple[float, float]]) -> None:
    measures = [
        {"step": 10 * number, "alignment": near, "uniformity": even}
        for number, (near, even) in enumerate(found, 1)
    ]
    sums = [math.fsum(pair) for pair in found]
    assert best_step(measures) == 10 * (1 + sums.index(min(sums)))
