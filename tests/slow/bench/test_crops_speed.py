"""Sides of the benchmark of crops."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mirror.tuning.items import DocumentItem, Item
from mirror.tuning.views import Views

Script = Callable[[str], ModuleType]


@pytest.fixture
def crop_settings(settings: dict[str, Any], sentences: list[str], tmp_path: Path) -> dict[str, Any]:
    """Return settings of a side: two steps on documents of three sentences."""
    documents = [[text, f"{text} too", f"and {text}"] for text in sentences[:40]]
    path = tmp_path / "documents.json"
    path.write_text(json.dumps(documents))
    return settings | {"texts": str(path)}


@pytest.mark.parametrize("side", ["trainer", "trainer, by length", "ours"])
def test_each_side_takes_the_steps_it_is_asked_for(
    script: Script, crop_settings: dict[str, Any], side: str
) -> None:
    if "trainer" in side:
        pytest.importorskip("accelerate")
    made = script("crops_speed").SIDES[side](crop_settings)
    assert made["steps"] == 2
    assert made["strings_per_second"] > 0
    assert made["peak_mb"] >= made["loaded_mb"] > 50
    assert made.get("bf16", False) is False


def test_the_trainer_has_the_pairs_that_ours_draws(
    script: Script, crop_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = script("crops_speed")
    seen: list[tuple[str, str]] = []
    plain = Views.batch

    def batch(self: Views, indices: Any, epoch: int) -> Any:
        made = plain(self, indices, epoch)
        items: list[Item] = list(self._items)
        assert all(isinstance(item, DocumentItem) for item in items)
        decode = self._encoder.tokenizer.batch_decode
        first, second = (
            decode(rows, skip_special_tokens=True) for rows in (made.first, made.second)
        )
        seen.extend(zip(first, second, strict=True))
        return made

    monkeypatch.setattr(Views, "batch", batch)
    crops.ours(crop_settings | {"max_tokens": 60})
    drawn = [(pair.first, pair.second) for pair in crops.draw_pairs(crop_settings)]
    assert len(drawn) == 40
    assert sorted(seen) == sorted(drawn)


def test_documents_of_one_sentence_are_left_out(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "documents.json"
    path.write_text(json.dumps([["one"], ["two", "of them"], ["a", "b", "c"]]))
    read = script("strings").read_documents
    assert read(path, 1, tmp_path) == [["two", "of them"]]
    with pytest.raises(SystemExit, match="has 2 documents of several sentences, but 3 are needed"):
        read(path, 3, tmp_path)


def test_ratios_are_those_of_each_round(script: Script) -> None:
    rates = {"trainer": [20.0, 10.0], "trainer, by length": [40.0, 50.0], "ours": [100.0, 50.0]}
    results = {
        side: [{"strings_per_second": rate, "peak_mb": 100.0, "bf16": False} for rate in values]
        for side, values in rates.items()
    }
    given = argparse.Namespace(layers=12, width=768, steps=2, batch_size=20, pooling="cls")
    found = script("crops_speed").sum_up(given, results, 61.24)
    rows = {row.what: row for row in found.rows}
    assert rows["ours / sentence-transformers' trainer"].values == [5.0, 5.0]
    assert rows["ours / sentence-transformers' trainer"].met is True
    assert rows["ours / sentence-transformers' trainer, batches by length"].values == [2.5, 1.0]
    assert found.settings["tokens a pair"] == 61.2
    assert found.settings["precision of the trainer"] == "fp32"
