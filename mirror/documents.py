"""What a source gives: one document after another."""

from __future__ import annotations

from typing import NamedTuple

MAX_BYTES = 8 << 20
"""A longer row is rejected unread: it is no paragraph, and would take the memory."""

NO_TEXT = "no text"
OVERSIZED = f"longer than {MAX_BYTES >> 20} MiB"


class Document(NamedTuple):
    """A piece of text that belongs together: a line, a row, a docstring, a word."""

    text: str
    source: str
    seen: int = 1
    """How often; above 1 in frequency lists only."""
    query: str = ""
    """What looks for `answer` in label-free retrieval; empty where the document does not say."""
    answer: str = ""
    fault: str = ""
    """Why its source could not give its text; `text` then says where."""
