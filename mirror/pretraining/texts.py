"""The paragraphs that a model is pretrained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.errors import CorpusError
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.progress import OnProgress, ProgressEvent, no_progress

BATCH_ROWS = 5_000


def read_texts(
    settings: PretrainingSettings, on_progress: OnProgress = no_progress
) -> Iterator[str]:
    """The corpus's paragraphs, without the sources that are left out.

    Raises:
        CorpusError: a file has no `text` column.
    """
    done = 0
    for name in settings.corpus:
        path = local_path(name, Path.is_file)
        with pq.ParquetFile(path) as file:
            for batch in _batches(file, path):
                for row in batch.to_pylist():
                    source = row.get("source") or ""
                    if row["text"] and not any(part in source for part in settings.exclude_sources):
                        yield row["text"]
                done += batch.num_rows
                on_progress(ProgressEvent("pieces", done, None, "paragraphs"))


def _batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    columns = [column for column in ("text", "source") if column in file.schema_arrow.names]
    if "text" not in columns:
        raise CorpusError(f"{path} has no column `text`; it has {file.schema_arrow.names}")
    for group in range(file.num_row_groups):  # all at once, it would keep what it has read
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)
