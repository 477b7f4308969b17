"""Memory of reading a large pretraining corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.paths import CHECKOUT

GROWTH = """
import resource, sys
from mirror.pretraining.config import find_pretraining
from mirror.pretraining.dataset import read_texts
settings = find_pretraining("mirror-mini-en").model_copy(update={"corpus": [sys.argv[1]]})
peaks = []
for number, _ in enumerate(read_texts(settings), 1):
    if number % 20_000 == 0:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(number, peaks[0], peaks[-1])
"""


def test_memory_does_not_depend_on_the_files_size(tmp_path: Path) -> None:
    """Of a file of 200 MB only a few row groups are in memory."""
    path = tmp_path / "text.parquet"
    schema = pa.schema({"text": pa.string()})
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, 200_000, 10_000):
            rows = [f"{number} " * 150 for number in range(100_000 + start, 110_000 + start)]
            writer.write_table(pa.table({"text": rows}, schema))
    assert path.stat().st_size > 180_000_000
    process = subprocess.run(
        [sys.executable, "-c", GROWTH, str(path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    number, first, last = map(int, process.stdout.split())
    assert number == 200_000
    assert last - first < 80_000  # kibibytes
