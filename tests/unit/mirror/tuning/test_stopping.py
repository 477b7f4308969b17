"""Tuning that ends with the weights of its best step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.parallel import SINGLE_THREAD
from mirror.errors import SampleError
from mirror.store import file_digests
from mirror.tuning.checkpoint_selection import hold_out
from mirror.tuning.trainer import Trainer, TrainingPaths
from mirror.tuning.tune import tune
from mirror.tuning.views import TextPair
from mirror.tuning_config import TuningSection

STOPPING = {"stopping": "alignment-uniformity", "stopping_steps": 3}


def settings(**changes: Any) -> TuningSection:
    usual = {"temperature": 0.04, "mask_length": 5, "epochs": 2, "max_tokens": 20}
    usual |= {"batch_size": 40, "learning_rate": 1e-3, "precision": "fp32", **STOPPING}
    return TuningSection(**{**usual, **changes})


@pytest.fixture
def items(sentences: list[str]) -> list[TextPair]:
    return [TextPair(text, text) for text in sentences]


def fresh(root: Path, base: Path) -> TrainingPaths:
    for name in ("out", "work"):
        (root / name).mkdir(parents=True)
    return TrainingPaths(base, root / "out", root / "work")


def lines_of(place: TrainingPaths) -> list[dict[str, float]]:
    return [json.loads(line) for line in (place.out / "steps.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("noise", ["dropout", "controlled", "drophead"])
def test_the_step_that_is_kept_is_the_best_one_measured(
    noise: str, tiny_base: Path, tmp_path: Path, items: list[TextPair]
) -> None:
    """A rate that ruins the encoder as it rises leaves the best step before the last."""
    place = fresh(tmp_path, tiny_base)
    changed = settings(augmentation=noise, learning_rate=0.1, warmup_ratio=0.9)
    counts = tune(changed, items, place)
    lines = lines_of(place)
    measured = {line["step"]: line for line in lines if "alignment" in line}
    assert list(measured) == [3, 6, 9, 12, 15, 18]
    sums = {step: line["alignment"] + line["uniformity"] for step, line in measured.items()}
    assert counts["kept_step"] == min(sums, key=lambda step: sums[step])
    assert counts["kept_alignment_and_uniformity"] == min(sums.values())
    assert counts["final_alignment_and_uniformity"] == sums[18]
    assert (counts["strings"], counts["strings_held_out"]) == (380, 20)
    assert len(set(sums.values())) == 6


def weights_after(
    step: int, place: TrainingPaths, items: list[TextPair], **changes: Any
) -> torch.nn.Module:
    run = Trainer(settings(**changes), items, place)
    run.encoder.model.train()
    for number in range(step):
        epoch, index = divmod(number, run.epoch_steps)
        run.take_step(run.views.batch(list(run.batches(epoch))[index], epoch), SINGLE_THREAD)
    model: torch.nn.Module = run.encoder.model
    return model


def test_the_weights_that_are_kept_are_of_that_step_as_if_nothing_had_been_measured(
    tiny_base: Path, tmp_path: Path, items: list[TextPair]
) -> None:
    place = fresh(tmp_path / "a", tiny_base)
    changes = {"learning_rate": 0.1, "warmup_ratio": 0.9}
    kept = tune(settings(**changes), items, place)["kept_step"]
    assert 3 <= kept < 18
    seen, _ = hold_out(items, 42)
    plain = weights_after(kept, fresh(tmp_path / "b", tiny_base), seen, stopping="none", **changes)
    found = Encoder.load(place.out / "encoder").model.state_dict()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, found[name]), name


def test_a_killed_run_goes_on_to_the_same_step_and_bytes(
    tiny_base: Path, tmp_path: Path, items: list[TextPair]
) -> None:
    changed = settings(learning_rate=0.1, warmup_ratio=0.9)
    whole = fresh(tmp_path / "whole", tiny_base)
    kept = tune(changed, items, whole)["kept_step"]
    for stopped in (kept + 1, 18):  # the best step's weights are in the checkpoint alone
        place = fresh(tmp_path / f"killed-{stopped}", tiny_base)

        class Killed(Exception): ...

        run = Trainer(changed, items, place)

        def die(step: Any, run: Trainer = run, stopped: int = stopped) -> None:
            if step.step == stopped:
                run.save()
                raise Killed

        with pytest.raises(Killed):
            run.go(die)
        assert tune(changed, items, place)["kept_step"] == kept
        assert file_digests(place.out) == file_digests(whole.out)


def test_threads_change_no_byte(
    tiny_base: Path, tmp_path: Path, items: list[TextPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        place = fresh(tmp_path / threads, tiny_base)
        tune(settings(tokens_per_microbatch=150, epochs=1), items, place)
        made.append(file_digests(place.out))
    assert made[0] == made[1]


def test_labelled_pairs_are_held_out_as_pairs(
    tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    pairs = [TextPair(a, b) for a, b in zip(sentences[:200], sentences[200:], strict=True)]
    counts = tune(settings(epochs=1), pairs, fresh(tmp_path, tiny_base))
    assert (counts["strings"], counts["strings_held_out"]) == (190, 10)


def test_a_sample_too_small_beside_what_is_held_out_is_refused(
    tiny_base: Path, tmp_path: Path, items: list[TextPair]
) -> None:
    place = fresh(tmp_path, tiny_base)
    with pytest.raises(SampleError, match="holds 38 different strings beside 2 that are held out"):
        tune(settings(), items[:40], place)
    assert tune(settings(), items[:43], place)["steps"] == 2
