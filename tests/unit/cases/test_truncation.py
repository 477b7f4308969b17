"""c4: texts longer than what tuning reads are told before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mirror.tuning.items import DocumentItem, Item, TextPair
from mirror.tuning.trainer import Trainer, TrainingPaths
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.case("c4")


def trainer_of(base: Path, folder: Path, items: list[Item], **tuning: Any) -> Trainer:
    settings = {"batch_size": 40, "max_tokens": 12, "pooling": "mean", "learning_rate": 1e-3}
    recipe = make_recipe(tuning={**settings, **tuning})
    return Trainer(recipe.tuning, items, TrainingPaths(base, folder / "out", folder / "work"))


def long_items(sentences: list[str], *, documents: bool) -> list[Item]:
    """One in five is longer than what is read."""
    texts = [f"{text} {text} {text}" if n % 5 == 0 else "boat" for n, text in enumerate(sentences)]
    texts = [f"{number} {text}" for number, text in enumerate(texts[:200])]
    if documents:
        return [DocumentItem((text, text)) for text in texts]
    return [TextPair(text, text) for text in texts]


@pytest.mark.parametrize("documents", [False, True])
def test_many_long_texts_are_warned_of_before_the_first_step(
    documents: bool,
    tiny_base: Path,
    tmp_path: Path,
    sentences: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    items = long_items(sentences, documents=documents)
    views = "crops" if documents else "identity"
    trainer = trainer_of(tiny_base, tmp_path, items, views=views)
    trainer.views.warn_if_full()
    assert "20% of the first 200 texts to tune on fill all of the 12 tokens" in caplog.text
    assert "raise tuning.max_tokens" in caplog.text
    assert trainer.state.step == 0


def test_short_texts_are_not_warned_of(
    tiny_base: Path, tmp_path: Path, sentences: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    items: list[Item] = [TextPair(text, text) for text in sentences]
    trainer_of(tiny_base, tmp_path, items, max_tokens=40).views.warn_if_full()
    assert caplog.text == ""


def test_a_run_warns_when_it_begins_and_not_when_it_continues(
    tiny_base: Path,
    tmp_path: Path,
    sentences: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    trainer = trainer_of(tiny_base, tmp_path, long_items(sentences, documents=False))
    monkeypatch.setattr(trainer.views, "warn_if_full", lambda: calls.append(trainer.state.step))
    monkeypatch.setattr(trainer, "_validation_steps", lambda: [])
    trainer.train(lambda step: None)
    trainer.state.step = 1
    trainer.train(lambda step: None)
    assert calls == [0]
