"""Reuse-only mode, in which a run ends at the first result that would have to be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mirror.errors import MirrorError

_reuse_only: ContextVar[bool] = ContextVar("reuse_only", default=False)


class NotMadeError(MirrorError):
    """A result that has to be made, in reuse-only mode; callers catch it."""


@contextmanager
def reuse_only() -> Iterator[None]:
    """Switch the mode on within the block."""
    token = _reuse_only.set(True)
    try:
        yield
    finally:
        _reuse_only.reset(token)


def is_reuse_only() -> bool:
    """Return whether the mode is on."""
    return _reuse_only.get()


def about_to_make(result: str) -> None:
    """Raise NotMadeError if the mode is on; call it before a result is made."""
    if _reuse_only.get():
        raise NotMadeError(f"{result} has to be made")
