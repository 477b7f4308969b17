"""Merges of tuned and base weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mirror.tuning.merging import (
    SMALLER_SHARES,
    Candidate,
    choose,
    load_best,
    merge,
    save_best,
    weights_of,
)


def model(value: float) -> nn.Module:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(value)
    return layer


def value_of(layer: nn.Module) -> float:
    (value,) = {number for weight in layer.parameters() for number in weight.flatten().tolist()}
    return value


def test_a_merge_is_the_weighted_mean_of_both() -> None:
    base, tuned = weights_of(model(1.0)), weights_of(model(5.0))
    assert {float(value) for value in merge(base, tuned, 0.25)["weight"].flatten()} == {2.0}
    assert torch.equal(merge(base, tuned, 1.0)["bias"], tuned["bias"])


@pytest.mark.parametrize(
    ("means", "guards", "lowest", "chosen"),
    [
        ({1.0: 0.5, 0.75: 0.6, 0.5: 0.4}, {}, None, 0.75),
        ({1.0: 0.5, 0.75: 0.5, 0.5: 0.5}, {}, None, 1.0),
        ({1.0: 0.6, 0.75: 0.5, 0.5: 0.4}, {1.0: 0.7, 0.75: 0.8, 0.5: 0.82}, 0.79, 0.75),
    ],
    ids=["best", "equal", "best above the guard"],
)
def test_the_best_share_above_the_guard_is_chosen(
    means: dict[float, float], guards: dict[float, float], lowest: float | None, chosen: float
) -> None:
    tuned = model(4.0)
    seen: dict[float, float] = {}

    def score(share: float) -> Candidate:
        seen[share] = value_of(tuned)
        return Candidate(share, {"mean": means[share]}, guards.get(share))

    candidates = choose(tuned, weights_of(model(0.0)), (0.5, 0.75), score, lowest)
    assert seen == {1.0: 4.0, 0.75: 3.0, 0.5: 2.0}
    assert candidates[0].share == chosen
    assert sorted(each.share for each in candidates) == [0.5, 0.75, 1.0]
    assert value_of(tuned) == 4 * chosen


@pytest.mark.parametrize(
    ("guards", "tried", "chosen"),
    [
        ({0.35: 0.8}, [1.0, 0.5, 0.35], 0.35),
        ({0.125: 0.8}, [1.0, 0.5, *SMALLER_SHARES], 0.125),
        ({0.25: 0.75}, [1.0, 0.5, *SMALLER_SHARES], 0.25),
    ],
    ids=["the next", "the last", "none"],
)
def test_smaller_shares_are_tried_until_the_guard_holds(
    guards: dict[float, float],
    tried: list[float],
    chosen: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tuned = model(4.0)
    seen: list[float] = []

    def score(share: float) -> Candidate:
        seen.append(share)
        return Candidate(share, {"mean": share}, guards.get(share, 0.7))

    best = choose(tuned, weights_of(model(0.0)), (0.5, 1.0), score, 0.79)[0]
    assert seen == tried
    assert best.share == chosen
    assert value_of(tuned) == pytest.approx(4 * chosen)
    assert ("falls below 0.790" in caplog.text) is (guards[chosen] < 0.79)


def test_a_guard_that_always_falls_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    choose(
        model(1.0),
        weights_of(model(0.0)),
        (1.0,),
        lambda share: Candidate(share, {"mean": 1.0}, 0.2),
        0.5,
    )
    assert "falls below 0.500" in caplog.text
    assert "lower tuning.learning_rate" in caplog.text


def test_the_best_weights_are_kept_in_a_file(tmp_path: Path) -> None:
    save_best(tmp_path, model(3.0))
    save_best(tmp_path, model(2.0))
    other = model(0.0)
    load_best(tmp_path, other)
    assert value_of(other) == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
