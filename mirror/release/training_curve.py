"""Training curve: the loss of each tuning step, and whether it is as expected."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from mirror.recipe import Recipe
from mirror.release.run_results import RunResults
from mirror.stage_files import reading
from mirror.store import StageRecord

FEWEST_STEPS = 20
"""Steps below which a curve is too short to judge."""
NEAR_GUESSING = 0.9
"""Share of the loss of guessing from which the vectors have learnt little."""
NEAR_ZERO = 0.02


def read_steps(tuned: StageRecord) -> list[dict[str, Any]]:
    """Return `step`, `loss` and `learning_rate` of each tuning step.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = tuned.path / "steps.jsonl"
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return [{**line, "loss": float(line["loss"])} for line in map(json.loads, lines)]


def guessing_loss(recipe: Recipe, items: int) -> float | None:
    """Return the loss if all texts of a batch were equally near; None if the loss has no such.

    Args:
        recipe: its `loss` and `batch_size` decide.
        items: strings, documents or pairs that are tuned on.
    """
    texts = 2 * min(recipe.tuning.batch_size, items)
    match recipe.tuning.loss:
        case "info-nce" if texts > 2:
            return math.log(texts - 1)  # the positive and the negatives
        case "decoupled" if texts > 2:
            return math.log(texts - 2)  # the negatives only
    return None


def loss_text(results: RunResults) -> str:
    """Return in words how a run's loss fell, and whether that is as expected.

    Raises:
        StoreError: the tuned encoder's folder is damaged.
    """
    losses = [step["loss"] for step in read_steps(results.tuned)]
    return describe_loss(losses, guessing_loss(results.recipe, results.tuned.counts["strings"]))


def describe_loss(losses: Sequence[float], guessing: float | None) -> str:
    """Return in words how the loss fell, and whether that is as expected.

    Args:
        losses: of each step.
        guessing: the loss of guessing.
    """
    tenth = max(len(losses) // 10, 1)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    text = f"{first:.2f} in the first tenth of {len(losses):,} steps, {last:.2f} in the last"
    if guessing:
        text += f"; guessing gives {guessing:.2f}"
    return f"{text}: {_judge(first, last, guessing, len(losses))}"


def _judge(first: float, last: float, guessing: float | None, steps: int) -> str:
    if steps < FEWEST_STEPS:
        return "too few steps to judge"
    if last > first:
        return "it did not fall; try a lower tuning.learning_rate, and look at the texts"
    if guessing and last > NEAR_GUESSING * guessing:
        return (
            "near guessing; the two views of an item share too little, or tuning.learning_rate "
            "is wrong"
        )
    if last < NEAR_ZERO:
        return "near zero; such pairs are easy, and more of them teach nothing"
    return "as expected"
