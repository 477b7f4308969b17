from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

Script = Callable[[str], ModuleType]


def test_text_of_a_size_is_the_same_for_a_seed(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = script("data_speed")
    monkeypatch.setattr(data, "CHUNK", 200)
    monkeypatch.setattr(data, "PHRASES", 2_000)
    counts = [
        data.write_text(tmp_path / f"{number}.parquet", 2e-4, seed)
        for number, seed in enumerate((0, 0, 1))
    ]
    first, same, other = (
        pq.read_table(tmp_path / f"{number}.parquet")["text"].to_pylist() for number in range(3)
    )
    assert counts[0] == 4 * len(first)
    assert first == same != other
    assert 2e5 <= sum(map(len, first)) < 3e5
    sentences = [part for text in first for part in text.split(". ")]
    assert 0.02 < 1 - len(set(sentences)) / len(sentences) < 0.15


def test_both_sides_read_the_same_file(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = script("data_speed")
    monkeypatch.setattr(data, "CHUNK", 100)
    monkeypatch.setattr(data, "PHRASES", 2_000)
    count = data.write_text(tmp_path / "text.parquet", 1e-5, 0)
    file = str(tmp_path / "text.parquet")
    settings = {"file": file, "work": str(tmp_path), "sample": 100, "corpus": {}}
    ours, theirs = data.mirrored(settings), data.duckdb_copy(settings)
    assert pq.read_metadata(tmp_path / "copy.parquet").num_rows * 4 == count
    # A sentence that ends in a single letter or "me" is joined with the next, as an abbreviation.
    assert 0.95 * count < ours["rows"] <= count
    assert 0.8 * count < ours["kept"] < count
    for made in (ours["ingest_seconds"], ours["sample_seconds"], theirs["seconds"]):
        assert made > 0
    assert ours["ingest_processor_seconds"] > 0
    assert theirs["processor_seconds"] >= 0
    assert ours["ingest_mb"] > 20
    by_line = data.mirrored({**settings, "sample": 50, "corpus": data.LINES})
    assert by_line["rows"] == count // 4


def test_slopes_come_from_two_sizes(script: Script) -> None:
    data = script("data_speed")
    sizes = [
        {
            "gigabytes": size,
            "rows": size * 1_000,
            "mirrored": [
                {
                    "ingest_seconds": size,
                    "ingest_processor_seconds": size / 2,
                    "sample_seconds": size**2,
                    "ingest_mb": 1,
                    "sample_mb": 1,
                }
            ],
            "duckdb": [{"seconds": 1.0, "processor_seconds": 0.5, "mb": 1}],
        }
        for size in (1, 10)
    ]
    rows = data.sum_up(type("Asked", (), {"sample": 10, "lines": False}), sizes).rows
    medians = {row.what: row.median for row in rows}
    assert medians["ingest, 10 GB, by processor time"] == 2_000
    assert medians["ingest / DuckDB, processor time, 10 GB"] == 10
    slopes = {row.what: row.median for row in rows if row.what.startswith("slope")}
    assert slopes == pytest.approx(
        {
            "slope of time over size, ingest": 1,
            "slope of time over size, sample": 2,
            "slope of time over size, DuckDB": 0,
        },
        abs=1e-9,
    )
