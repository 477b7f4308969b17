"""Addresses of servers, as they may be shown and logged."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"//[^/\s]*@")


def without_secrets(text: str) -> str:
    """A text without the user names and passwords in its addresses."""
    return _CREDENTIALS.sub("//", text)
