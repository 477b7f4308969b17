"""DuckDB with our settings."""

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
    """DuckDB in this process, with bounded memory; what does not fit goes to `work`."""
    spill = work / "duckdb"
    shutil.rmtree(spill, ignore_errors=True)  # what a killed run left
    engine = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "memory_limit": MEMORY_LIMIT,
            "preserve_insertion_order": "false",
            "temp_directory": str(spill),
            "threads": str(threads or thread_count()),
        },
    )
    engine.execute("SET enable_progress_bar = false")  # it would draw over ours
    return engine


def exact_names(paths: Iterable[Path]) -> list[str]:
    """Names for `read_parquet`, which would read what lies in other folders that fit a pattern.

    Give it `hive_partitioning = false` too: a folder called `text=x` would stand for a column.
    """
    return [_PATTERN.sub(r"[\g<0>]", str(path)) for path in paths]
