"""Published data files: path, checksum and address, and the folders searched for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from mirror.config_base import Address, Section
from mirror.paths import workspace_root

SCHEMES = ("https://", "http://")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DataFile(Section):
    """A file declared by its SHA-256."""

    path: str
    """Relative to the folder of all data of its kind."""
    sha256: Sha256
    url: Address | None = None
    """Address of exactly these bytes; None if they are not published as they are."""

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        check_inside(self.path)
        if self.url is not None and not self.url.startswith(SCHEMES):
            raise ValueError(
                f"url {self.url!r} is not an http(s) address: correct it or leave it out"
            )
        return self


def check_inside(path: str) -> None:
    """Raise ValueError if a relative path leaves the folder that it is joined to.

    Links are not followed; see `is_inside`.
    """
    parts = Path(path).parts
    if not parts or "\0" in path:
        raise ValueError(f"path {path!r} names no file: give a path relative to its folder")
    if Path(path).is_absolute() or ".." in parts:
        raise ValueError(
            f"path {path!r} leaves its folder: name a file in it, without a leading / or .."
        )


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path is inside a folder after all links are followed."""
    return path.resolve().is_relative_to(folder.resolve())


def data_roots(kind: str, variable: str) -> tuple[Path, ...]:
    """Return the folders that are searched for data of a kind, in order.

    Args:
        kind: the folder's name in the workspace.
        variable: the environment variable that may name a folder to search first.
    """
    named = [Path(os.environ[variable])] if os.environ.get(variable) else []
    return (*named, fetched_root(kind))


def fetched_root(kind: str) -> Path:
    """Return the folder in the workspace where downloaded data of a kind is kept."""
    return workspace_root() / kind
