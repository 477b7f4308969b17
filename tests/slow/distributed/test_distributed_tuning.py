"""Two processes that tune one model come to what one comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from mirror import shutdown
from mirror.errors import StoppedError, TuningError
from mirror.tuning.process_group import SINGLE_PROCESS, ProcessGroup
from mirror.tuning.step import TuningStep
from mirror.tuning.trainer import TrainingPaths
from mirror.tuning.tune import tune
from mirror.tuning_config import TuningSection, fill_tuning

SMALL = {"batch_size": 40, "max_tokens": 20, "precision": "fp32", "tokens_per_microbatch": 128}


def settings(**changes: Any) -> TuningSection:
    given = {**SMALL, "learning_rate": 1e-3, **changes}
    return TuningSection.model_validate(fill_tuning("sentence", given))


def place_in(folder: Path, base: Path) -> TrainingPaths:
    place = TrainingPaths(base, folder / "out", folder / "work")
    for made in (place.out, place.work):
        made.mkdir(parents=True)
    return place


def weights(place: TrainingPaths) -> dict[str, Any]:
    return load_file(place.out / "encoder" / "model.safetensors")


def losses(place: TrainingPaths) -> list[float]:
    lines = (place.out / "steps.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_caching": True, "projection_head": "mlp"},
        {"stopping": "alignment-uniformity", "stopping_steps": 2, "augmentation": "both"},
    ],
    ids=["plain", "caching", "stopping"],
)
def test_losses_and_weights_are_those_of_one_process(
    changes: dict[str, Any], tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    one, two = (place_in(tmp_path / name, tiny_base) for name in ("one", "two"))
    counts = tune(settings(**changes), sentences, one)
    steps: list[TuningStep] = []
    told = tune(settings(**changes, num_processes=2), sentences, two, steps.append)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    mine, ours = weights(one), weights(two)
    assert mine.keys() == ours.keys()
    for name, weight in mine.items():
        assert (weight - ours[name]).abs().max() < 1e-5, name
    assert [step.step for step in steps] == list(range(1, len(losses(one)) + 1))
    assert told["steps"] == counts["steps"]
    assert list(two.work.glob("*.json")) == []


def test_a_stop_leaves_a_checkpoint_that_they_go_on_from(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    place = place_in(tmp_path, tiny_base)
    long = settings(num_processes=2, epochs=40)

    def stop(step: TuningStep) -> None:
        if step.step == 3:
            shutdown.ask_to_stop()

    try:
        with pytest.raises(StoppedError):
            tune(long, sentences, place, stop)
    finally:
        shutdown._asked.clear()
    [checkpoint] = place.work.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step >= 3
    steps: list[TuningStep] = []

    def end(found: TuningStep) -> None:
        steps.append(found)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(long, sentences, place, end)
    assert steps[0].step == step + 1


def test_a_fault_of_the_ranks_is_the_callers(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    place = place_in(tmp_path, tiny_base)
    with pytest.raises(TuningError, match=r"the loss is nan at step \d+ of 200"):
        tune(settings(num_processes=2, learning_rate=1e6, epochs=20), sentences, place)


def test_slices_are_shared_out_without_gap_or_overlap() -> None:
    for slices in range(7):
        shared = [slice_ for number in range(3) for slice_ in ProcessGroup(number, 3).share(slices)]
        assert sorted(shared) == list(range(slices))
    assert list(SINGLE_PROCESS.share(4)) == [0, 1, 2, 3]


def test_distillation_is_refused_with_several_processes() -> None:
    with pytest.raises(ValueError, match="does not go with several `num_processes`"):
        settings(num_processes=2, ranking_distillation=1.0)
