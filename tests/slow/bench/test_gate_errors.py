"""Simulated errors of the gate."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import gate_errors


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Predictions of a base and of a better encoder on two benchmarks."""
    generator = np.random.default_rng(3)
    for name in ("passage-retrieval", "title-retrieval"):
        before = generator.choice([0.0, 0.2, 0.5, 1.0], 200)
        after = np.where(generator.uniform(size=200) < 0.2, 1.0, before)
        for folder, values in (("base", before), ("tuned", after)):
            path = tmp_path / folder / "predictions"
            path.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"predicted": values}), path / f"{name}.parquet")
    return str(tmp_path / "base"), str(tmp_path / "tuned")


def test_unchanged_encoders_are_seldom_promoted_and_large_gains_always(
    folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate_errors, "GAINS", (0.2,))
    monkeypatch.setattr(sys, "argv", ["gate_errors", *folders, "--runs", "40"])
    gate_errors.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    shares = {(title, count): float(share.rstrip("%")) for title, count, share, _ in rows}
    for count in ("1", "2"):
        assert shares["nothing changed", count] <= 12.5
        assert shares["both at chance", count] <= 5
        assert shares["a true gain of 0.2", count] == 100
