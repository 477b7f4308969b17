"""Rendering of Jinja templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mirror.formatting import score, signed
from mirror.hashing import file_digest

TEMPLATES = Path(__file__).resolve().parent / "templates"
LIBRARIES = ("jinja2", "markupsafe")


def template_digest(name: str) -> str:
    """Return a template's digest, as an input of the stage that renders it."""
    return file_digest(TEMPLATES / name)


def fill_template(name: str, content: dict[str, Any]) -> str:
    """Return the rendered template; values are escaped in HTML templates.

    A missing value is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=".html" in name,  # noqa: S701 - Markdown takes no HTML escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["markdown_table"] = markdown_table
    environment.filters |= {"score": score, "signed": signed, "cell": cell}
    return environment.get_template(name).render(content)


def cell(value: object) -> str:
    """Return a value escaped for a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def markdown_table(
    head: Sequence[object], rows: Iterable[Sequence[object]], text_columns: int = 1
) -> str:
    """Return a Markdown table; the columns after the first `text_columns` are right-aligned."""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    lines = [map(cell, head), rule, *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
