"""Templates and how they are filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mirror.formatting import score, signed
from mirror.store import file_digest

TEMPLATES = Path(__file__).resolve().parent / "templates"
LIBRARIES = ("jinja2", "markupsafe")


def template_digest(name: str) -> str:
    """A template's digest: it shapes the bytes as code does, but is none."""
    return file_digest(TEMPLATES / name)


def fill_template(name: str, content: dict[str, Any]) -> str:
    """The template with its content; all of it is escaped if the template makes HTML.

    A name that the content lacks is an error, not an empty place.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=".html" in name,  # noqa: S701 - Markdown takes no HTML escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"score": score, "signed": signed, "cell": cell}
    return environment.get_template(name).render(content)


def cell(value: object) -> str:
    """A value that stays in its cell of a Markdown table, and opens no tag of HTML there."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
