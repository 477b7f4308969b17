"""DuckDB connection with bounded memory, and names of Parquet files for it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb

from mirror.hardware import thread_count

MEMORY_LIMIT = "1GB"
_PATTERN = re.compile(r"[*?\[]")


def connect(work: Path, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that spills data beyond `MEMORY_LIMIT` to `work`."""
    spill = work / "duckdb"
    shutil.rmtree(spill, ignore_errors=True)  # files of a killed run
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "memory_limit": MEMORY_LIMIT,
            "preserve_insertion_order": "false",
            "temp_directory": str(spill),
            "threads": str(threads or thread_count()),
        },
    )
    connection.execute("SET enable_progress_bar = false")  # it would overwrite ours
    return connection


def part_names(folder: Path) -> list[str]:
    """Return a table's parts, `part-00000.parquet` and so on, as `exact_names` does."""
    return exact_names(sorted(folder.glob("part-*.parquet")))


def exact_names(paths: Iterable[Path]) -> list[str]:
    """Return paths for `read_parquet` with the characters of glob patterns escaped.

    `read_parquet` also needs `hive_partitioning = false`, else a folder called `text=x` becomes a
    column.
    """
    return [_PATTERN.sub(r"[\g<0>]", str(path)) for path in paths]
