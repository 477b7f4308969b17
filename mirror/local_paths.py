"""Paths as recipes write them: they start at the checkout, else at the working folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mirror.code_identity import ROOT


def local_path(path: str, is_there: Callable[[Path], bool] = Path.exists) -> Path:
    """The path in the checkout if it is there, else in the working folder; always absolute.

    `~` is a user's own folder; where there is no such user, it is part of a folder's name.
    """
    in_checkout, here = local_places(path)
    return in_checkout if is_there(in_checkout) else here


def local_places(path: str) -> tuple[Path, Path]:
    """Where a path is looked for: in the checkout, then in the working folder; mostly for errors.

    Both are one for a path that is absolute.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        expanded = Path(path)
    return ROOT / expanded, expanded.absolute()
