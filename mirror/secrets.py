"""Secrets that stand in addresses: not taken from files, and never shown."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"//[^/\s]*@")
_SIGNED = re.compile(
    r"([?&;](?:[\w.-]*(?:signature|token|password|passwd|secret|credential|api[_-]?key"
    r"|secret[_-]?key|access[_-]?key(?:id)?)|sig|pwd)=)[^&;\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text without the user names, passwords and signatures in its addresses."""
    return _SIGNED.sub(r"\1…", _LOGIN.sub("//", text))


def check_no_secret(address: str) -> str:
    """The address of a file that is given, if no secret stands in it.

    Whoever may read a recipe, a report or a manifest would have it.

    Raises:
        ValueError: one does.
    """
    start = address.find("://")
    if start >= 0 and without_secrets(address[start:]) != address[start:]:
        raise ValueError(
            f"{without_secrets(address)} has a login or a signature in it, which reports and "
            "manifests would show: take it out, and give it in the environment"
        )
    return address
