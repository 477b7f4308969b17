"""Paths as recipes and commands name them, of what is read and of what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mirror.code_identity import ROOT
from mirror.errors import InputError


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


def check_output(place: Path, endings: Sequence[str]) -> None:
    """Checks that a file can be written there, before what goes into it is made.

    Raises:
        InputError: the ending is none of these, or the folder is missing.
    """
    if place.suffix not in endings:
        raise InputError(f"{place} ends in neither {' nor '.join(endings)}: name one that does")
    if not place.absolute().parent.is_dir():
        raise InputError(f"{place} lies in no folder that exists: make {place.parent} first")
