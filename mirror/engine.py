"""DuckDB with our settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from mirror.threads import thread_count

MEMORY_LIMIT = "1GB"


def open_engine(work: Path, threads: int | None = None) -> duckdb.DuckDBPyConnection:
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
