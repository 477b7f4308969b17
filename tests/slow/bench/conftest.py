"""Modules of the benchmarks, imported anew for each test, which may replace their names."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of `bench/`."""

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, f"bench.{name}", raising=False)
        return importlib.import_module(f"bench.{name}")

    return load


@pytest.fixture
def settings(tiny_base: Path, tmp_path: Path, sentences: list[str]) -> dict[str, Any]:
    """Return settings of a side of the tuning benchmark: two steps on the tiny base."""
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(sentences[:40]))
    return {
        "base": str(tiny_base),
        "texts": str(texts),
        "batch_size": 20,
        "learning_rate": 1e-3,
        "temperature": 0.04,
        "max_tokens": 20,
        "mask_length": 5,
        "dropout": 0.1,
        "weight_decay": 0.01,
        "pooling": "cls",
        "precision": "fp32",
        "autocast": False,
        "device": "cpu",
        "extra": {},
        "seed": 42,
    }
