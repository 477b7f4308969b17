"""c15: dropout is drawn for each micro-batch, so their size is part of the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from mirror.store import StageRecord
from mirror.tuning.items import TextPair
from mirror.tuning.stage import tuning_stage
from mirror.tuning.trainer import Trainer, TrainingPaths
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.case("c15")

SETTINGS: dict[str, Any] = {
    "batch_size": 40,
    "max_tokens": 20,
    "pooling": "mean",
    "precision": "fp32",
}


def recipe(**tuning: Any) -> Recipe:
    return make_recipe(tuning={**SETTINGS, **tuning})


def first_loss(base: Path, folder: Path, sentences: list[str], **tuning: Any) -> float:
    items = [TextPair(text, text) for text in sentences]
    paths = TrainingPaths(base, folder / "out", folder / "work")
    trainer = Trainer(recipe(**tuning).tuning, items, paths)
    trainer.encoder.model.train()
    batch = trainer.views.batch(range(40), 0)
    return trainer.train_step.forward_backward(replace(batch, second=batch.first), 3).loss.item()


def test_without_dropout_the_size_changes_a_loss_by_rounding_only(
    tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    small, large = (
        first_loss(tiny_base, tmp_path, sentences, dropout=0.0, tokens_per_microbatch=tokens)
        for tokens in (64, 4_096)
    )
    assert small == pytest.approx(large, abs=1e-5)


def test_another_size_is_another_result_and_another_stage(
    tiny_base: Path, tmp_path: Path, sentences: list[str], write_stage: Any
) -> None:
    sizes = (64, 4_096)
    losses = {
        first_loss(tiny_base, tmp_path, sentences, dropout=0.3, tokens_per_microbatch=tokens)
        for tokens in sizes
    }
    sample: StageRecord = write_stage("sample", {}, {})
    base = EncoderRef(str(tiny_base), "b" * 64, "tiny")
    keys = {
        tuning_stage(recipe(tokens_per_microbatch=tokens), sample, base).key for tokens in sizes
    }
    assert len(losses) == len(keys) == 2
