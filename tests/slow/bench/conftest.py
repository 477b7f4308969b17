"""The benchmarks' scripts as modules, as Python finds them when it runs one."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mirror.paths import CHECKOUT

BENCH = CHECKOUT / "bench"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script of `bench/`."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(BENCH))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


@pytest.fixture
def asked(tiny_base: Path, tmp_path: Path, sentences: list[str]) -> dict[str, Any]:
    """What a side of the tuning benchmark is told: two steps on the tiny base."""
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
