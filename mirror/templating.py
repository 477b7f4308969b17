"""Templates and the forms that numbers take in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
        autoescape=".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"score": score, "signed": signed, "cell": cell}
    return environment.get_template(name).render(content)


def score(value: float) -> str:
    """A score of 0 to 1: `.742`."""
    return drop_zero(f"{value:.3f}")


def signed(value: float) -> str:
    """A change of a score: `+.031`."""
    return drop_zero(f"{value:+.3f}").replace("-", "\N{MINUS SIGN}")


def drop_zero(number: str) -> str:
    """Without the zero before the point."""
    return number.replace("0.", ".", 1) if number.lstrip("+-").startswith("0.") else number


def cell(value: object) -> str:
    """A value that stays in its cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")
