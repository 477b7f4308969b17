"""Secrets in URLs: refused in files, and removed from messages."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"//[^/\s]*@")
_SIGNED = re.compile(
    r"([?&;](?:[\w.-]*(?:signature|token|password|passwd|secret|credential|api[_-]?key"
    r"|secret[_-]?key|access[_-]?key(?:id)?)|sig|pwd)=)[^&;\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return a text without the user names, passwords and signatures in its URLs."""
    return _SIGNED.sub(r"\1…", _LOGIN.sub("//", text))


def check_no_secret(address: str) -> str:
    """Return the path or URL of a file, checked for secrets.

    A secret in a recipe would be visible in its reports and manifests.

    Raises:
        ValueError: the URL contains a login or a signature.
    """
    start = address.find("://")
    if start >= 0 and without_secrets(address[start:]) != address[start:]:
        raise ValueError(
            f"{without_secrets(address)} contains a login or a signature, which reports and "
            "manifests would show: remove it, and set it in the environment"
        )
    return address
