"""Paragraphs to pretrain on, from Parquet files of any size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.errors import CorpusError
from mirror.paths import CHECKOUT
from mirror.pretraining.config import PretrainingSettings, find_pretraining
from mirror.pretraining.texts import read_texts
from mirror.progress import ProgressEvent

GROWTH = """
import resource, sys
from mirror.pretraining.config import find_pretraining
from mirror.pretraining.texts import read_texts
settings = find_pretraining("mirror-mini-en").model_copy(update={"corpus": [sys.argv[1]]})
peaks = []
for number, _ in enumerate(read_texts(settings), 1):
    if number % 20_000 == 0:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(number, peaks[0], peaks[-1])
"""


def settings_of(*files: Path, exclude_sources: tuple[str, ...] = ()) -> PretrainingSettings:
    changes = {"corpus": [str(file) for file in files], "exclude_sources": exclude_sources}
    return find_pretraining("mirror-mini-en").model_copy(update=changes)


def test_all_groups_are_read_in_order_without_what_is_left_out(tmp_path: Path) -> None:
    texts = [f"paragraph {number}" for number in range(25)]
    sources = ["talk" if number % 5 == 0 else "books" for number in range(25)]
    table = pa.table({"text": [*texts, "", None], "source": [*sources, "books", None]})
    pq.write_table(table, tmp_path / "text.parquet", row_group_size=4)
    signs: list[ProgressEvent] = []
    settings = settings_of(tmp_path / "text.parquet", exclude_sources=("talk",))
    found = list(read_texts(settings, signs.append))
    assert found == [text for number, text in enumerate(texts) if number % 5]
    assert signs[-1].done == 27


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(CorpusError, match="no column `text`"):
        list(read_texts(settings_of(tmp_path / "text.parquet")))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """200 MB of text, of which no more is held than a few groups' worth."""
    place = tmp_path / "text.parquet"
    schema = pa.schema({"text": pa.string()})
    with pq.ParquetWriter(place, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, 200_000, 10_000):
            rows = [f"{number} " * 150 for number in range(100_000 + start, 110_000 + start)]
            writer.write_table(pa.table({"text": rows}, schema))
    assert place.stat().st_size > 180_000_000
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(place)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    number, first, last = map(int, done.stdout.split())
    assert number == 200_000
    assert last - first < 80_000  # kibibytes
