"""Check for libraries that belong to an extra of this package."""

from __future__ import annotations

import importlib.util

from mirror.errors import InputError


def require_extra(library: str, needed_by: str, extra: str) -> str:
    """Return the library's name, or raise InputError if its extra is not installed."""
    if importlib.util.find_spec(library) is None:
        raise InputError(
            f"{needed_by} needs the extra `{extra}`: pip install -c constraints.txt -e '.[{extra}]'"
        )
    return library
