"""Paths of the checkout, of recipes, of the workspace, and of files that users name."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from mirror.errors import InputError, RecipeError, StoreError

CHECKOUT = Path(__file__).resolve().parent.parent
RECIPES = CHECKOUT / "recipes"
PAPER_RECIPES = RECIPES / "paper"
"""One for each row of the paper; nothing runs them by the clock."""
FILE = ".toml"


def recipe_names(folder: Path = RECIPES) -> list[str]:
    """Names of the recipes in `folder`, sorted: those that run by the clock, or `PAPER_RECIPES`."""
    return sorted(path.stem for path in folder.glob(f"*{FILE}"))


def recipe_path(name: str, folder: Path = RECIPES) -> Path:
    """The file of a recipe of that name in `folder` or its `paper`, or what ends in `.toml` itself.

    Raises:
        RecipeError: it is no name, or none has it.
    """
    if name.endswith(FILE):
        return Path(name)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name):
        raise RecipeError(f"{name!r} is no recipe's name: use lower-case letters, digits, . _ -")
    check_known([name], folder)
    of_paper = folder / PAPER_RECIPES.name / f"{name}{FILE}"
    return of_paper if of_paper.is_file() else folder / f"{name}{FILE}"


def unknown_names(names: Sequence[str], folder: Path = RECIPES) -> list[str]:
    """Those that no recipe has; paths are no names."""
    known = {*recipe_names(folder), *recipe_names(folder / PAPER_RECIPES.name)}
    return [name for name in names if not name.endswith(FILE) and name not in known]


def check_known(names: Sequence[str], folder: Path = RECIPES) -> None:
    """Checks that there are recipes of these names.

    Raises:
        RecipeError: there are not; all such names are listed, with the nearest to each.
    """
    unknown = dict.fromkeys(unknown_names(names, folder))
    if not unknown:
        return
    own = recipe_names(folder)
    known = [*own, *recipe_names(folder / PAPER_RECIPES.name)]
    told = []
    for name in unknown:
        nearest = get_close_matches(name, known, n=1)
        told.append(f"{name!r} (nearest: {nearest[0]})" if nearest else repr(name))
    raise RecipeError(
        f"no recipe is called {' or '.join(told)}: there {'is' if len(own) == 1 else 'are'} "
        f"{', '.join(own) or 'none'}; `mirror recipes` lists all, the paper's too"
    )


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
    return CHECKOUT / expanded, expanded.absolute()


def check_output(place: Path, endings: Sequence[str]) -> None:
    """Checks that a file can be written there, before what goes into it is made.

    Raises:
        InputError: the ending is none of these, or the folder is missing.
    """
    if place.suffix not in endings:
        raise InputError(f"{place} ends in neither {' nor '.join(endings)}: name one that does")
    if not place.absolute().parent.is_dir():
        raise InputError(f"{place} lies in no folder that exists: make {place.parent} first")


PARTS = ("stages", "work", "locks", "runs", "registered", "servers", "pretraining", "mlflow.db")
"""What commands leave in a workspace: a folder with none of them is something else."""


def workspace_root() -> Path:
    """`MIRROR_HOME`, or `.mirror` in the checkout."""
    return Path(os.environ.get("MIRROR_HOME") or CHECKOUT / ".mirror").absolute()


def writable_workspace() -> Path:
    """The workspace of a command that writes into it; it need not be there yet.

    Raises:
        StoreError: it cannot be made or written.
    """
    root = workspace_root()
    there = next(place for place in (root, *root.parents) if place.exists())
    if fault := write_fault(there):
        raise StoreError(
            f"the workspace {root} cannot be written ({fault}): "
            "free or allow the folder, or set MIRROR_HOME to another"
        )
    return root


def open_workspace(*, for_registry: bool = False) -> Path:
    """The workspace of a command that only reads it or cleans it.

    One that was named must be there, else a slip of the pen would make a workspace.

    Args:
        for_registry: only the registry in it is asked; then none is needed if it is elsewhere.

    Raises:
        InputError: the folder that was named has no workspace.
        StoreError: it is a file, or cannot be made.
    """
    root = workspace_root()
    own = f"sqlite:///{root / 'mlflow.db'}"
    elsewhere = for_registry and (os.environ.get("MLFLOW_TRACKING_URI") or own) != own
    named = bool(os.environ.get("MIRROR_HOME"))
    is_file = root.exists() and not root.is_dir()
    if named and not (elsewhere or is_file or any((root / part).exists() for part in PARTS)):
        raise InputError(f"no workspace at {root}: check --workspace or MIRROR_HOME")
    return root if root.is_dir() else writable_workspace()


def nearest_folder(path: Path) -> Path:
    """The path itself if it is a folder, else the nearest one above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.is_dir())


def write_fault(folder: Path) -> str | None:
    """Why nothing can be written in a folder, or in the nearest one above it; tried for real."""
    if folder.exists() and not folder.is_dir():
        return "it is a file"
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(folder)) as probe:
            probe.write(b"probe")
    except OSError as error:
        return error.strerror or str(error)
    return None
