"""The parts of `bench/gpu_check.sh`, at a small size on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def test_what_prepare_writes_is_tuned_on_and_pretrained_on(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    sentences: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = script("gpu_check")
    rows = [
        f"{first.capitalize()} {number}. {second.capitalize()} again."
        for number, (first, second) in enumerate(
            zip(sentences * 5, sentences[1:] * 5, strict=False)
        )
    ]
    source = tmp_path / "text.parquet"
    pq.write_table(pa.table({"text": rows}), source)
    part.prepare(source, tmp_path / "data", small=True)
    part.crops(tmp_path / "data", small=True)
    part.pretrain(tmp_path / "data", 1.0, small=True)
    printed = capsys.readouterr().out
    assert "'validation_documents': 60" in printed
    assert "pretraining: 40,000 of 40,000 tokens" in printed
    assert "'tokens': 40960" in printed
