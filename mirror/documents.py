"""Document of a corpus source."""

from __future__ import annotations

from typing import NamedTuple

MAX_BYTES = 8 << 20
"""Most bytes of a row; longer rows are rejected unread, which bounds memory."""

NO_TEXT = "no text"
OVERSIZED = f"longer than {MAX_BYTES >> 20} MiB"


class Document(NamedTuple):
    """A line, a row, a docstring or a word of a corpus source."""

    text: str
    source: str
    occurrences: int = 1
    """How often it occurs; above 1 in frequency lists only."""
    title: str = ""
    """Title of `body`; empty if the document has none."""
    body: str = ""
    fault: str = ""
    """Why the source could not read the text; `text` is then the position of the row."""


class Title(NamedTuple):
    """A document's title and the text below it."""

    document: int
    title: str
    body: str


def titled_document(text: str, source: str, title: object) -> Document:
    """Return a document that begins with its title, or one without if `title` is no text."""
    name = title.strip() if isinstance(title, str) else ""
    if not name:
        return Document(text, source)
    return Document(f"{name}\n{text}", source, title=name, body=text)
