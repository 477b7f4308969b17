"""How the loss fell, and whether that is as expected."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mirror.errors import StoreError
from mirror.recipe import Recipe
from mirror.release.run_results import RunResults
from mirror.release.training_curve import describe_loss, guessing_loss, loss_text, read_steps
from tests.fixtures.recipes import make_recipe

GUESSING = 5.5


def falling(first: float, last: float, steps: int = 40) -> list[float]:
    return [first + (last - first) * step / (steps - 1) for step in range(steps)]


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        (falling(3.0, 1.0), ": as expected"),
        (falling(1.0, 1.2), ": it did not fall; try a lower tuning.learning_rate"),
        (falling(5.5, 5.3), ": near guessing; the two views of an item share too little"),
        (falling(0.5, 0.0), ": near zero; such pairs are easy"),
        (falling(3.0, 1.0, steps=19), ": too few steps to judge"),
    ],
)
@pytest.mark.case("loss")
def test_each_kind_of_curve_has_its_verdict(losses: list[float], end: str) -> None:
    assert end in describe_loss(losses, GUESSING)


def test_the_ends_are_means_of_a_tenth() -> None:
    losses = [4.0, 2.0, *[1.0] * 16, 0.5, 0.25]
    text = describe_loss(losses, GUESSING)
    assert text.startswith("3.00 in the first tenth of 20 steps, 0.38 in the last; guessing gives")


def test_a_loss_without_a_value_of_guessing_is_judged_by_its_fall() -> None:
    text = describe_loss(falling(6.0, 5.9), None)
    assert "guessing" not in text
    assert text.endswith(": as expected")


@pytest.mark.parametrize(
    ("tuning", "items", "expected"),
    [
        ({"batch_size": 100}, 5_000, math.log(199)),
        ({"batch_size": 100}, 30, math.log(59)),
        ({"batch_size": 100, "loss": "decoupled"}, 5_000, math.log(198)),
        ({"batch_size": 100, "loss": "multi-similarity"}, 5_000, None),
    ],
)
def test_guessing_has_the_positive_and_all_negatives_equally_near(
    tuning: dict[str, Any], items: int, expected: float | None
) -> None:
    recipe: Recipe = make_recipe(tuning=tuning)
    assert guessing_loss(recipe, items) == expected


def test_guessing_is_what_the_losses_give_for_equal_vectors() -> None:
    import torch

    from mirror.tuning.losses import ContrastiveObjective

    for loss in ("info-nce", "decoupled"):
        recipe = make_recipe(tuning={"loss": loss, "batch_size": 16})
        equal = torch.ones(16, 8)
        objective = ContrastiveObjective(recipe.tuning, 8)
        assert objective(equal, equal, None).item() == pytest.approx(guessing_loss(recipe, 16))


def test_a_runs_loss_is_read_from_its_steps(results: RunResults) -> None:
    assert [step["loss"] for step in read_steps(results.tuned)] == [3.0, 2.0, 1.25]
    assert loss_text(results).startswith("3.00 in the first tenth of 3 steps, 1.25 in the last")


@pytest.mark.parametrize(
    "content", ["", '{"loss": "much"}\n', '{"step": 1}\n', "[1]\n", "nonsense"]
)
def test_damaged_steps_are_refused_with_the_remedy(results: RunResults, content: str) -> None:
    path = results.tuned.path / "steps.jsonl"
    path.write_text(content) if content else path.unlink()
    with pytest.raises(StoreError, match=r"steps\.jsonl cannot be read .*: remove its folder"):
        read_steps(results.tuned)
