"""Reuse-only mode: finished stages are given, and the first missing one ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mirror.reuse_only import NotMadeError, is_reuse_only, reuse_only
from mirror.store import Stage, Store

STAGE = Stage("sample", "sampling", {"corpus": "c" * 64}, {"size": 3})


def write(out: Path, _work: Path) -> Mapping[str, int]:
    (out / "strings").write_text("a\n")
    return {"strings": 1}


def test_a_missing_stage_is_not_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with reuse_only(), pytest.raises(NotMadeError, match="stage sample"):
        store.make(STAGE, write)
    assert store.find(STAGE) is None
    assert not is_reuse_only()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_finished_stage_is_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make(STAGE, write)
    with reuse_only():
        assert store.make(STAGE, write).reused
