"""The baseline: an encoder with its own settings, or a plain model at its best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.evaluation.baseline import (
    RANDOM_WORDS,
    Baseline,
    base_readings,
    best_of,
    measure_baseline,
)
from mirror.store import StageRecord
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning

BASE = EncoderRef("folder", "digest", "models/tiny")
OWN = EncoderSettings("mean", 256)


def tuning(**settings: Any) -> TuningSection:
    return TuningSection(**fill_tuning("sentence", settings))


def readings(own: EncoderSettings | None, **settings: Any) -> list[tuple[Any, ...]]:
    return [
        (ref.pooling, ref.max_tokens, ref.prompt, words)
        for ref, words in base_readings(BASE, tuning(**settings), own)
    ]


@pytest.mark.parametrize(("pooling", "other"), [("cls", "mean"), ("mean", "cls")])
def test_a_plain_model_is_read_by_class_token_and_by_mean(pooling: str, other: str) -> None:
    assert readings(None, pooling=pooling) == [
        (pooling, 128, None, f"with {pooling} pooling"),
        (other, 128, None, f"with {other} pooling"),
    ]


def test_a_plain_model_is_also_read_as_the_recipe_says() -> None:
    assert [line[:3] for line in readings(None, pooling="first-last", max_tokens=60)] == [
        ("first-last", 60, None),
        ("cls", 60, None),
        ("mean", 60, None),
    ]
    prompt = "{text} means [MASK]"
    assert [line[:3] for line in readings(None, pooling="mean", prompt=prompt)] == [
        ("mean", 128, prompt),
        ("cls", 128, None),
        ("mean", 128, None),
    ]


@pytest.mark.case("c1")
def test_an_encoder_is_read_with_its_own_settings() -> None:
    own = (None, None, None, "with its own settings (mean pooling)")
    assert readings(OWN, pooling="mean") == [own]
    assert readings(OWN, pooling="cls") == [
        own,
        ("cls", 128, None, "with cls pooling as in this recipe"),
    ]


def test_the_readings_have_different_labels() -> None:
    for own in (None, OWN):
        labels = [ref.label for ref, _ in base_readings(BASE, tuning(pooling="cls"), own)]
        assert len(set(labels)) == len(labels) == 2


@pytest.mark.parametrize(
    ("means", "best"), [([0.2, 0.3], 1), ([0.3, 0.3], 0), ([math.nan, 0.1], 1), ([math.nan], 0)]
)
def test_the_best_is_the_first_of_the_highest(means: list[float], best: int) -> None:
    assert best_of(means) == best


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Baseline]:
    """Measure a baseline from the scores of each pooling; None is the base's own."""

    def measured(folder: Path, scores: Mapping[str | None, float], pooling: str) -> Baseline:
        def evaluate(ref: EncoderRef) -> StageRecord:
            place = tmp_path / f"evaluation-{ref.pooling}"
            place.mkdir()
            content = {
                "one": {"score": scores[ref.pooling], "used_by_gate": True},
                "two": {"score": scores[ref.pooling] / 2, "used_by_gate": True},
                "shown": {"score": 1.0, "used_by_gate": False},
            }
            (place / "scores.json").write_text(json.dumps(content))
            return StageRecord("evaluation", "key", str(place), f"of {ref.pooling}", {}, 0.0, False)

        return measure_baseline(EncoderRef(str(folder), "d"), tuning(pooling=pooling), evaluate)

    return measured


def test_a_plain_models_baseline_is_the_better_reading(
    measure: Callable[..., Baseline], tiny_base: Path
) -> None:
    baseline = measure(tiny_base, {"cls": 0.2, "mean": 0.4}, "cls")
    assert baseline.record.digest == "of mean"
    assert [(each.words, each.mean) for each in baseline.readings] == [
        ("with mean pooling", pytest.approx(0.3)),
        ("with cls pooling", pytest.approx(0.15)),
    ]


@pytest.mark.case("c1")
def test_an_encoders_baseline_is_its_own_reading_even_if_another_is_better(
    measure: Callable[..., Baseline], save_encoder: Callable[..., Path]
) -> None:
    baseline = measure(save_encoder(), {None: 0.2, "cls": 0.4}, "cls")
    assert baseline.record.digest == "of None"
    assert [each.digest for each in baseline.readings] == ["of None", "of cls"]


def test_a_random_control_is_a_further_reading_and_never_the_baseline(
    measure: Callable[..., Baseline], tiny_base: Path, tmp_path: Path
) -> None:
    baseline = measure(tiny_base, {"cls": 0.2, "mean": 0.4}, "cls")
    (tmp_path / "scores.json").write_text(json.dumps({"one": {"score": 0.9, "used_by_gate": True}}))
    control = StageRecord("evaluation", "key", str(tmp_path), "of control")
    with_control = baseline.with_random_control(control)
    assert with_control.record == baseline.record
    assert with_control.readings[:-1] == baseline.readings
    reading = with_control.readings[-1]
    assert (reading.words, reading.mean, reading.digest) == (RANDOM_WORDS, 0.9, "of control")
