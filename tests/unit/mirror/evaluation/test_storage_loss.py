"""Loss of scores by fewer dimensions and rounding: the encoders that are scored, and the words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mirror.encoders.encoder_ref import FULL_DIMENSION, tuned_encoder
from mirror.evaluation.score_change import ScoreChange
from mirror.evaluation.storage_loss import (
    StorageLoss,
    storage_losses,
    storage_steps,
    stored_encoder,
)
from mirror.release.run_results import RunResults
from mirror.store import StageRecord
from tests.fixtures.recipes import make_recipe

SMALL = {FULL_DIMENSION: 256}


@pytest.mark.parametrize(
    ("counts", "stored_as", "expected"),
    [
        ({}, "float32", []),
        (SMALL, "float32", [("tuned-all-dimensions", True, "128 of 256 dimensions")]),
        ({}, "int8", [("tuned-float32", False, "Numbers stored as int8")]),
        (
            SMALL,
            "int8",
            [
                ("tuned-all-dimensions", True, "128 of 256 dimensions"),
                ("tuned-float32", False, "Numbers stored as int8"),
            ],
        ),
    ],
)
def test_each_step_is_scored_before_it_is_taken(
    counts: dict[str, Any],
    stored_as: str,
    expected: list[tuple[str, bool, str]],
    write_stage: Callable[..., StageRecord],
) -> None:
    recipe = make_recipe(
        tuning={"dimensions": 128}, evaluation={"benchmarks": ["stsb"], "stored_as": stored_as}
    )
    encoder = tuned_encoder(write_stage("tune", counts, {}))
    steps = storage_steps(encoder, recipe)
    assert [(ref.label, ref.all_dimensions, words) for ref, words in steps] == expected
    assert all(ref.stored_as is None for ref, _ in steps)
    shipped = stored_encoder(encoder, recipe)
    assert (shipped.stored_as, shipped.all_dimensions) == (stored_as, False)


def test_a_step_is_compared_with_the_next_one(results: RunResults) -> None:
    before, after = (results.before, "128 of 256 dimensions"), (results.after, "Rounding")
    first, second = storage_losses([before, after], results.after, results.recipe)
    assert (first.words, second.words) == ("128 of 256 dimensions", "Rounding")
    assert any(change.change for change in first.changes)
    assert not any(change.change for change in second.changes)


def test_a_loss_is_shown_with_its_interval() -> None:
    change = ScoreChange("stsb", "spearman", 100, 0.5, 0.498, -0.002, -0.004, 0.001)
    assert str(StorageLoss("128 of 256 dimensions", (change,))) == (
        "128 of 256 dimensions change the mean score by -0.0020: stsb -0.002 [-0.004, +0.001]."
    )
