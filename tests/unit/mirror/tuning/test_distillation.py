from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mirror.encoders.encoder import Encoder
from mirror.store import file_digests
from mirror.tuning.checkpoint import TrainingState
from mirror.tuning.distillation import Teacher, ranking_distance, read_teacher
from mirror.tuning.objective import Objective
from mirror.tuning.step import TuningStep
from mirror.tuning.trainer import TrainingPaths
from mirror.tuning.tune import FIRST_PASS, TEACHER, tune
from mirror.tuning.views import TextPair
from mirror.tuning_config import TuningSection


def drawn(seed: int, items: int = 7) -> Tensor:
    return torch.randn(4, items, 5, generator=torch.Generator().manual_seed(seed))


def direct(sides: Tensor, taught: Tensor, temperature: float, names: list[int]) -> Tensor:
    """List by list and candidate by candidate, in double precision."""
    unit, aim = (torch.nn.functional.normalize(part.double(), dim=-1) for part in (sides, taught))
    found = []
    for own, other in ((0, 1), (1, 0)):
        for i, name in enumerate(names):
            others = [j for j, same in enumerate(names) if same != name]
            if not others:
                found.append(torch.zeros((), dtype=torch.double))
                continue
            p = torch.stack([unit[own, i] @ unit[other, j] for j in others]) / temperature
            q = torch.stack([aim[own, i] @ aim[other, j] for j in others]) / (temperature / 2)
            p, q = p.exp() / p.exp().sum(), q.exp() / q.exp().sum()
            found.append((q * (q / p).log()).sum())
    return torch.stack(found).mean()


@pytest.mark.parametrize("names", [list(range(7)), [0, 1, 0, 3, 4, 4, 4], [5] * 7])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_the_distance_and_its_gradient_are_those_of_a_direct_computation(
    names: list[int], temperature: float
) -> None:
    vectors = drawn(3)
    ours, theirs = (vectors[:2].clone().requires_grad_() for _ in range(2))
    found = ranking_distance(*ours, (vectors[2], vectors[3]), temperature, torch.tensor(names))
    expected = direct(theirs, vectors[2:], temperature, names)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    if len(set(names)) > 1:
        assert expected.item() > 0.1
        expected.backward()
        found.backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    else:  # lists of nothing
        found.backward()
        assert torch.equal(ours.grad, torch.zeros_like(ours))  # type: ignore[arg-type]


def test_without_names_all_pairs_differ() -> None:
    vectors = drawn(5)
    sides, taught = (vectors[0], vectors[1]), (vectors[2], vectors[3])
    named = ranking_distance(*sides, taught, 0.1, torch.arange(7))
    assert torch.equal(ranking_distance(*sides, taught, 0.1), named)


def test_equal_lists_are_no_distance_apart() -> None:
    """At twice the temperature the student's list is the teacher's; texts' lengths are nothing."""
    angles = torch.tensor([0.0, 0.4, 1.1])
    teacher = torch.stack([angles.cos(), angles.sin()], 1)
    cosines = teacher @ teacher.T
    # Vectors whose cosines are half of these, but for their own, which are in no list.
    wanted = cosines / 2
    student = torch.linalg.cholesky(wanted.fill_diagonal_(1.0).double()).float()
    found = ranking_distance(student, 3 * student, (teacher, teacher), 0.1)
    assert found.item() > 0.1
    twice = ranking_distance(teacher, teacher, (student, 2 * student), 0.1)
    assert twice.item() == pytest.approx(0, abs=1e-6)


def test_the_weight_and_the_contrast_are_summed_and_no_head_stands_between() -> None:
    settings = section(ranking_distillation=0.5, projection_head="mlp")
    torch.manual_seed(0)
    objective = Objective(settings, 5)
    first, second, *taught = drawn(9)
    plain = objective(first, second, None)
    both = objective(first, second, None, (taught[0], taught[1]))
    apart = ranking_distance(first, second, (taught[0], taught[1]), settings.temperature)
    assert (both - plain).item() == pytest.approx(0.5 * apart.item(), rel=1e-5)


def test_a_teacher_comes_back_exactly_and_a_damaged_one_not_at_all(tmp_path: Path) -> None:
    vectors = drawn(1)
    teacher = Teacher(
        vectors[0], vectors[0], TrainingState(2, [0.1, 0.7], [1e-5, 2e-5], 3, [{"step": 2}])
    )
    path = tmp_path / "t.safetensors"
    assert read_teacher(path) is None
    teacher.save(path)
    again = read_teacher(path)
    assert again is not None
    assert torch.equal(again.first, vectors[0]) and torch.equal(again.second, vectors[0])
    assert again.advance == teacher.advance
    assert [file.name for file in tmp_path.iterdir()] == ["t.safetensors"]
    path.write_bytes(path.read_bytes()[:-9])
    assert read_teacher(path) is None


def section(**changes: Any) -> TuningSection:
    usual = {"temperature": 0.1, "mask_length": 5, "epochs": 1, "max_tokens": 20}
    usual |= {"batch_size": 40, "learning_rate": 1e-3, "precision": "fp32"}
    return TuningSection(**{**usual, **changes})


Tunes = Callable[..., TrainingPaths]


@pytest.fixture
def tuned(tiny_base: Path, tmp_path: Path, sentences: list[str]) -> Tunes:
    """Tunes in folders of its own."""

    def tune_once(name: str, on_step: Any = lambda step: None, **changes: Any) -> TrainingPaths:
        place = TrainingPaths(tiny_base, tmp_path / name / "out", tmp_path / name / "work")
        for folder in (place.out, place.work):
            folder.mkdir(parents=True, exist_ok=True)
        tune(section(**changes), sentences, place, on_step)
        return place

    return tune_once


def lines_of(place: TrainingPaths) -> list[dict[str, float]]:
    return [json.loads(line) for line in (place.out / "steps.jsonl").read_text().splitlines()]


def test_the_teacher_is_the_encoder_that_one_pass_makes(tuned: Tunes, sentences: list[str]) -> None:
    """With dropout and masks on in training, and neither in what it teaches."""
    plain = tuned("plain")
    place = tuned("two", ranking_distillation=1.0, inference_max_tokens=30, whitening=0.25)
    teacher = read_teacher(place.work / TEACHER)
    assert teacher is not None
    expected = Encoder.load(plain.out / "encoder").encode(sentences)
    assert np.array_equal(teacher.first.numpy(), expected)
    assert torch.equal(teacher.first, teacher.second)
    assert not (place.work / FIRST_PASS).exists()


def test_the_log_and_whoever_listens_are_told_of_both_passes(tuned: Tunes) -> None:
    steps: list[TuningStep] = []
    plain, place = tuned("plain"), tuned("two", steps.append, ranking_distillation=2.0)
    lines = lines_of(place)
    assert [line["step"] for line in lines] == [step.step for step in steps] == list(range(1, 21))
    assert [line["pass"] for line in lines] == [1] * 10 + [2] * 10
    assert {step.total for step in steps} == {20}
    assert steps[-1].seconds_left == 0
    first = [{key: value for key, value in line.items() if key != "pass"} for line in lines[:10]]
    assert first == lines_of(plain)
    # The second pass begins from the base too, with the same batch and a loss of its own beside.
    assert lines[10]["loss"] > lines[0]["loss"] + 0.01
    assert lines[10]["learning_rate"] == lines[0]["learning_rate"]


def test_distillation_draws_the_rankings_to_the_teachers(
    tuned: Tunes, sentences: list[str]
) -> None:
    """By a weight beside which the contrast is nothing."""
    place = tuned("two", ranking_distillation=1e5, epochs=2)
    teacher = read_teacher(place.work / TEACHER)
    assert teacher is not None
    found = []
    for encoder in (Encoder.load(place.base, "mean", 20), Encoder.load(place.out / "encoder")):
        own = torch.from_numpy(encoder.encode(sentences))
        aims = (teacher.first, teacher.second)
        found.append(ranking_distance(own, own, aims, 0.1).item())
    assert found[1] < found[0] / 2


class Killed(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize(
    "stopped", [5, 10, 11, 16], ids=["first pass", "before the teacher", "after it", "second pass"]
)
def test_a_run_that_is_killed_anywhere_ends_with_the_same_bytes(
    stopped: int, tuned: Tunes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"ranking_distillation": 1.0, "stopping": "alignment-uniformity", "batch_size": 38}
    whole = tuned("whole", **changes)
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr("mirror.tuning.trainer.time.monotonic", lambda: next(clock))
    seen: list[int] = []

    def die(step: TuningStep) -> None:
        if step.step == stopped:
            raise Killed

    with pytest.raises(Killed):
        tuned("killed", die, **changes, checkpoint_seconds=1)
    work = tmp_path / "killed" / "work"
    assert (work / TEACHER).exists() is (stopped > 10)
    assert bool(list(work.glob("checkpoint-*"))) is (stopped > 11)
    place = tuned("killed", lambda step: seen.append(step.step), **changes)
    # What was done before the last checkpoint, which follows a step's report, is not done again.
    assert seen == list(range(stopped, 21))
    assert file_digests(place.out) == file_digests(whole.out)


def test_a_damaged_teacher_is_made_again(tuned: Tunes) -> None:
    place = tuned("one", ranking_distillation=1.0)
    before = file_digests(place.out)
    (place.work / TEACHER).write_bytes(b"{")
    again = tuned("one", ranking_distillation=1.0)
    assert file_digests(again.out) == before


def test_labelled_pairs_have_a_teachers_vector_for_each_side(
    tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    pairs = [TextPair(a, b) for a, b in zip(sentences[:80], sentences[80:160], strict=True)]
    place = TrainingPaths(tiny_base, tmp_path / "out", tmp_path / "work")
    place.out.mkdir()
    place.work.mkdir()
    tune(section(ranking_distillation=1.0), pairs, place)
    teacher = read_teacher(place.work / TEACHER)
    assert teacher is not None
    plain = TrainingPaths(tiny_base, tmp_path / "o", tmp_path / "w")
    plain.out.mkdir()
    plain.work.mkdir()
    tune(section(), pairs, plain)
    encoder = Encoder.load(plain.out / "encoder")
    for side, texts in ((teacher.first, sentences[:80]), (teacher.second, sentences[80:160])):
        np.testing.assert_allclose(side.numpy(), encoder.encode(texts), atol=1e-5)
    rows = teacher.of([3, 0])
    assert torch.equal(rows[1], teacher.second[[3, 0]])
