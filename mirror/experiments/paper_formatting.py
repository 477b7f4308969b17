"""Numbers and reasons as the tables show them."""

from __future__ import annotations

import re

from mirror.formatting import score

_FOLDERS = re.compile(r"(?<![\w:/.])(?:/[^\s/:,;]+)+/(?=[^\s/:,;]*)")


def without_folders(text: str) -> str:
    """A fault in one line, with files by their names alone, not where this machine has them."""
    return _FOLDERS.sub("", " ".join(text.split()))


def number(value: float) -> str:
    """`.742`, and `13.79` for what is no score."""
    return f"{value:.2f}" if abs(value) >= 1 else score(value)
