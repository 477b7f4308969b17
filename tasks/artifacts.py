"""Prefect artifacts: tables and Markdown texts on the pages of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext


def show_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Create a table artifact; do nothing outside a run."""
    if _in_run():
        create_table_artifact(key=key, table=list(rows), description=description)


def show_markdown(key: str, text: str, description: str) -> None:
    """Create a Markdown artifact, with HTML escaped; do nothing outside a run."""
    if _in_run():
        marked = text.replace("<", "&lt;")
        create_markdown_artifact(key=key, markdown=marked, description=description)


def count_rows(counts: Any, prefix: str = "") -> list[dict[str, Any]]:
    """Return a stage's counts as rows of a table; only numbers and strings are included."""
    rows: list[dict[str, Any]] = []
    for name, value in counts.items():
        if isinstance(value, dict):
            rows += count_rows(value, f"{prefix}{name}: ")
        elif isinstance(value, str | int | float):
            shown = rounded(value) if isinstance(value, float) else value
            rows.append({"name": f"{prefix}{name}", "value": shown})
    return rows


def rounded(value: float) -> float:
    """Return a number rounded to four digits for a table; manifests have exact numbers."""
    return float(f"{value:.4g}")


def _in_run() -> bool:
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None
