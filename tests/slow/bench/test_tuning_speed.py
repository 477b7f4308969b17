from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from mirror.encoders.encoder import Encoder
from mirror.tuning.batch_sampler import epoch_batches
from mirror.tuning.losses import info_nce
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning
from tests.fixtures.encoders import pooled_vectors

Script = Callable[[str], ModuleType]


@pytest.mark.parametrize("side", ["official", "ours", "trainer"])
def test_each_side_takes_the_steps_it_is_asked_for(
    script: Script, settings: dict[str, Any], side: str
) -> None:
    if side == "trainer":
        pytest.importorskip("accelerate")
    made = script("tuning_speed").SIDES[side](settings)
    assert made["steps"] == 2
    assert made["strings_per_second"] > 0
    assert made["peak_mb"] >= made["loaded_mb"] > 50
    assert made["first_loss"] > 0


@pytest.mark.parametrize("pooling", ["cls", "mean-with-padding"])
def test_the_published_loss_is_ours_where_nothing_is_random(
    script: Script, settings: dict[str, Any], sentences: list[str], tiny_base: Path, pooling: Any
) -> None:
    quiet = settings | {"dropout": 0.0, "pooling": "cls" if pooling == "cls" else "mean"}
    texts, views = sentences[:20], sentences[20:40]
    loss = script("official_method").OfficialMethod(tiny_base, quiet).loss(texts, views)
    encoder = Encoder.load(tiny_base, pooling, 20)
    if pooling == "mean-with-padding":  # padding, up to the longest allowed, counts as published
        rows = encoder.tokenizer([*texts, *views], padding="max_length", max_length=20)
        inputs = {key: torch.tensor(rows[key]) for key in ("input_ids", "attention_mask")}
        vectors = encoder.model(**inputs).last_hidden_state.mean(1)
    else:
        vectors = pooled_vectors(encoder, encoder.token_ids([*texts, *views]))
    assert loss.item() == pytest.approx(info_nce(*vectors.split(20), 0.04).item(), abs=1e-4)


@pytest.mark.parametrize("pooling", ["cls", "mean-with-padding"])
def test_mode_paper_takes_the_published_steps_where_nothing_is_random(
    script: Script,
    settings: dict[str, Any],
    sentences: list[str],
    tiny_base: Path,
    tmp_path: Path,
    pooling: str,
) -> None:
    quiet = settings | {"dropout": 0.0, "mask_length": 0, "learning_rate": 1e-3}
    method = script("official_method").OfficialMethod(
        tiny_base, quiet | {"pooling": "cls" if pooling == "cls" else "mean"}
    )
    texts = sentences[:15] * 2  # equal ones are negatives of each other, as published
    batches = [indices for epoch in range(6) for indices in epoch_batches(30, 15, 42, epoch)]
    assert any(len({texts[index] for index in indices}) < 15 for indices in batches)
    published = [method.step([texts[index] for index in indices]) for indices in batches]
    given = {name: quiet[name] for name in ("temperature", "mask_length", "dropout", "max_tokens")}
    given |= {"learning_rate": 1e-3, "batch_size": 15, "epochs": 6, "precision": "fp32"}
    made = fill_tuning("sentence", given | {"mode": "paper", "pooling": pooling})
    (tmp_path / "out").mkdir()
    ours: list[float] = []
    tune(
        TuningSection(**made),
        texts,
        TrainingPaths(tiny_base, tmp_path / "out", tmp_path / "work"),
        lambda step: ours.append(step.loss),
    )
    fall = published[0] - published[-1]
    assert len(ours) == 12 and fall > 1e-3
    assert ours == pytest.approx(published, abs=fall / 100)


def test_the_published_mask_stands_for_the_first_run_that_reads_alike(
    script: Script, settings: dict[str, Any], tiny_base: Path
) -> None:
    method = script("official_method").OfficialMethod(tiny_base, settings | {"mask_length": 2})
    masked = {method.masked("abababababababababababababababab") for _ in range(30)}
    assert masked == {
        " [MASK] ababababababababababababababab",
        "a [MASK] babababababababababababababab",
    }
    assert method.masked("too short to be masked") == "too short to be masked"


def test_work_counts_weights_tokens_and_attention(
    script: Script, tiny_base: Path, sentences: list[str]
) -> None:
    per_string = script("tuning_arithmetic").work_per_string
    work, tokens = per_string(tiny_base, sentences[:1], 20, "mean")
    length = len(Encoder.load(tiny_base, "cls", 20).token_ids(sentences[:1])[0])
    weights = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    assert tokens == 2 * length
    assert work == 2 * (6 * weights * length + 2 * 12 * 32 * length**2)
    first_only = 2 * 32 * 32 * length + 2 * 32 * 32 + 2 * 32 * 64
    expected = 2 * (6 * (weights // 2 * length + first_only) + 12 * 32 * (length**2 + length))
    assert per_string(tiny_base, sentences[:1], 20, "cls")[0] == expected


def test_goals_are_compared_with_measurements(script: Script) -> None:
    tuning = script("tuning_speed")
    sides = {"official": 10.0, "official, autocast": 20.0, "trainer": 30.0, "ours": 85.0}
    results = {
        side: [{"strings_per_second": rate, "peak_mb": 100.0}] for side, rate in sides.items()
    }
    results["peak"] = [{"fp32": 100.0, "bf16": 200.0}]
    results["losses"] = [{"steps": 5, "largest_difference": 0.002}]
    given = argparse.Namespace(
        layers=12, width=768, steps=2, batch_size=20, pooling="cls", precision="auto"
    )
    found = tuning.sum_up(given, results, (1e9, 40.0))
    rows = {row.what: row for row in found.rows}
    assert rows["ours / the published method, fp32"].values == [8.5]
    assert rows["ours / the published method, fp32"].met is True
    assert rows["ours / sentence-transformers' trainer"].met is False
    assert rows["share of the best, ours"].values == [42.5]
    assert rows["share of the best, ours"].met is False
    assert rows["peak memory, sentence-transformers' / ours"].met is False
    losses = rows["largest difference of our losses from the published, 5 equal steps"]
    assert losses.cells()[-2:] == ["at most 1.0e-03", "**missed**"]


def test_the_fastest_matrix_product_is_a_rate(script: Script, settings: dict[str, Any]) -> None:
    arithmetic = script("tuning_arithmetic")
    arithmetic.PEAK_SHAPES, arithmetic.PEAK_SECONDS = ((64, 64, 64),), 0.01
    rates = arithmetic.peak(settings)
    assert rates["fp32"] > 0.01
    assert rates["bf16"] > 0.01


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_losses_equal_the_published_where_nothing_is_random(
    script: Script, settings: dict[str, Any], pooling: str
) -> None:
    tuning = script("tuning_speed")
    result = tuning.SIDES["losses"](settings | {"pooling": pooling})
    assert result["steps"] == 5
    assert result["largest_difference"] < tuning.LARGEST_DIFFERENCE
