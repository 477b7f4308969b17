"""Tables and texts beside a run, so that Prefect's pages alone tell its story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext


def show_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Leaves a table; nothing outside a run."""
    if _in_run():
        create_table_artifact(key=key, table=list(rows), description=description)


def show_markdown(key: str, text: str, description: str) -> None:
    """Leaves a text, in which Markdown marks stand and HTML's do not; nothing outside a run."""
    if _in_run():
        marked = text.replace("<", "&lt;")
        create_markdown_artifact(key=key, markdown=marked, description=description)


def count_rows(counts: Any, prefix: str = "") -> list[dict[str, Any]]:
    """Counts of a stage as rows; what is not a number or a short text is left to the manifest."""
    rows: list[dict[str, Any]] = []
    for name, value in counts.items():
        if isinstance(value, dict):
            rows += count_rows(value, f"{prefix}{name}: ")
        elif isinstance(value, str | int | float):
            shown = rounded(value) if isinstance(value, float) else value
            rows.append({"what": f"{prefix}{name}", "value": shown})
    return rows


def rounded(value: float) -> float:
    """A number as a table shows it; exact ones are in the manifests."""
    return float(f"{value:.4g}")


def _in_run() -> bool:
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None
