"""Document of a corpus source, and text to encode."""

from __future__ import annotations

from typing import NamedTuple

MAX_BYTES = 8 << 20
"""Most bytes of a row; longer rows are rejected unread, which bounds memory."""

NO_TEXT = "no text"
EMPTY_CELL = "empty cell written as text"
EMPTY_CELLS = frozenset({"nan", "NaN", "None", "NULL", "null", "N/A", "n/a", "NA", "NaT", "<NA>"})
"""What programs write for a cell without text."""
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
    """Why the source could not read the text; `text` is then the position of the row,
    or its cell."""


class TextRow(NamedTuple):
    """A text to encode."""

    id: str
    text: str
    fault: str = ""
    """Why there is no text."""


class Title(NamedTuple):
    """A document's title and the text below it."""

    document: int
    title: str
    body: str


def row_document(text: str, source: str, title: object, is_list: bool = False) -> Document:
    """Return the document of a table's row.

    Args:
        text: begins after the title; the text of an empty cell is a fault.
        source: where the row is from.
        title: none if it is no text, or the text of an empty cell.
        is_list: whether rows are words or names, such as the word "None".
    """
    if not is_list and text.strip() in EMPTY_CELLS:
        return Document(text.strip(), source, fault=EMPTY_CELL)
    name = title.strip() if isinstance(title, str) else ""
    if not name or name in EMPTY_CELLS:
        return Document(text, source)
    return Document(f"{name}\n{text}", source, title=name, body=text)
