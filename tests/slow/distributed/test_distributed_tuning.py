from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from mirror import shutdown
from mirror.errors import StoppedError, TuningError
from mirror.tuning.items import DocumentItem, Item
from mirror.tuning.process_group import SINGLE_PROCESS, ProcessGroup
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning.training_log import TuningStep
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning
from tests.fixtures.tuning import make_paths

SMALL = {"batch_size": 40, "max_tokens": 20, "precision": "fp32", "tokens_per_microbatch": 128}


def settings(**changes: Any) -> TuningSection:
    given = {**SMALL, "learning_rate": 1e-3, **changes}
    return TuningSection.model_validate(fill_tuning("sentence", given))


def weights(paths: TrainingPaths) -> dict[str, Any]:
    return load_file(paths.out / "encoder" / "model.safetensors")


def losses(paths: TrainingPaths) -> list[float]:
    lines = (paths.out / "steps.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_caching": True, "projection_head": "mlp"},
        {"augmentation": "both"},
        {"views": "crops", "near_duplicates": 0.5, "epochs": 2},
    ],
    ids=["caching", "drophead", "crops with validation"],
)
def test_losses_and_weights_are_those_of_one_process(
    changes: dict[str, Any], tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    one, two = (make_paths(tiny_base, tmp_path / name) for name in ("one", "two"))
    items: list[str | Item] = [*sentences]
    if "views" in changes:
        items = [DocumentItem((text, f"{text} too", f"and {text}")) for text in sentences]
    counts = tune(settings(**changes), items, one)
    steps: list[TuningStep] = []
    counts_of_two = tune(settings(**changes, num_processes=2), items, two, steps.append)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    single, double = weights(one), weights(two)
    assert single.keys() == double.keys()
    for name, weight in single.items():
        assert (weight - double[name]).abs().max() < 1e-5, name
    assert [step.step for step in steps] == list(range(1, len(losses(one)) + 1))
    assert counts_of_two["steps"] == counts["steps"]
    for name in ("validation_documents", "best_step", "tuned_share"):
        assert counts_of_two.get(name) == counts.get(name)
    assert ("tuned_share" in counts) is ("views" in changes)
    assert list(two.work.glob("*.json")) == []


def test_a_stopped_run_is_resumed_from_its_checkpoint(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    paths = make_paths(tiny_base, tmp_path)
    long = settings(num_processes=2, epochs=40)

    def stop(step: TuningStep) -> None:
        if step.step == 3:
            shutdown.ask_to_stop()

    try:
        with pytest.raises(StoppedError):
            tune(long, sentences, paths, stop)
    finally:
        shutdown._asked.clear()
    [checkpoint] = paths.work.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step >= 3
    steps: list[TuningStep] = []

    def end(found: TuningStep) -> None:
        steps.append(found)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(long, sentences, paths, end)
    assert steps[0].step == step + 1


def test_an_error_in_a_process_is_raised_by_the_caller(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    paths = make_paths(tiny_base, tmp_path)
    with pytest.raises(TuningError, match=r"the loss is nan at step \d+ of 200"):
        tune(settings(num_processes=2, learning_rate=1e6, epochs=20), sentences, paths)


def test_each_micro_batch_belongs_to_one_process() -> None:
    for count in range(7):
        numbers = list(range(count))
        shared = [
            number for rank in range(3) for number in numbers[ProcessGroup(rank, 3).local_slice]
        ]
        assert sorted(shared) == numbers
    assert list(range(4))[SINGLE_PROCESS.local_slice] == [0, 1, 2, 3]
