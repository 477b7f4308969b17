"""Document of a corpus source, and text to encode."""

from __future__ import annotations

from typing import NamedTuple

MAX_BYTES = 8 << 20
"""Most bytes of a row; longer rows are rejected unread, which bounds memory."""

NO_TEXT = "no text"
EMPTY_CELL = "empty cell written as text"
_EMPTY_CELLS = frozenset(
    """nan -nan none null n/a nat <na> #n/a #na undefined \\n - -- — #ref! #value! #div/0! #name?
    #null! #num!""".split()  # noqa: SIM905
)
OVERSIZED = f"longer than {MAX_BYTES >> 20} MiB"


def is_empty_cell(text: str) -> bool:
    """Return whether a text is what programs write for a cell without text, such as `nan`."""
    # "na" is a word in Portuguese.
    return len(text) < 10 and (text == "NA" or text.lower() in _EMPTY_CELLS)


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
    if not is_list and is_empty_cell(text.strip()):
        return Document(text.strip(), source, fault=EMPTY_CELL)
    name = title.strip() if isinstance(title, str) else ""
    if not name or is_empty_cell(name):
        return Document(text, source)
    return Document(f"{name}\n{text}", source, title=name, body=text)
