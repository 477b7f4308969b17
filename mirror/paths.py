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
SHIPPED_BASE = CHECKOUT / "models" / "mirror-mini-en"
"""The small base that comes with the project."""
RECIPES = CHECKOUT / "recipes"
PAPER_RECIPES = RECIPES / "paper"
"""One recipe per row of the paper's tables; no schedule runs them."""
FILE = ".toml"


def recipe_names(folder: Path = RECIPES) -> list[str]:
    """Return the sorted names of the recipes in `folder`, without those of its subfolders."""
    return sorted(path.stem for path in folder.glob(f"*{FILE}"))


def recipe_path(name: str, folder: Path = RECIPES) -> Path:
    """Return the file of a recipe, given its name or the path of a `.toml` file.

    A name is looked up in `folder` and in its subfolder `paper`.

    Raises:
        RecipeError: the name is malformed, or no recipe has it.
    """
    if name.endswith(FILE):
        return Path(name)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name):
        raise RecipeError(
            f"{name!r} is not a valid recipe name: use lower-case letters, digits, . _ -"
        )
    check_known([name], folder)
    paper_recipe = folder / PAPER_RECIPES.name / f"{name}{FILE}"
    return paper_recipe if paper_recipe.is_file() else folder / f"{name}{FILE}"


def unknown_names(names: Sequence[str], folder: Path = RECIPES) -> list[str]:
    """Return the names that no recipe has; paths of `.toml` files are left out."""
    known = {*recipe_names(folder), *recipe_names(folder / PAPER_RECIPES.name)}
    return [name for name in names if not name.endswith(FILE) and name not in known]


def check_known(names: Sequence[str], folder: Path = RECIPES) -> None:
    """Raise RecipeError if a name has no recipe; list all such names with their closest match."""
    unknown = dict.fromkeys(unknown_names(names, folder))
    if not unknown:
        return
    shipped = recipe_names(folder)
    known = [*shipped, *recipe_names(folder / PAPER_RECIPES.name)]
    listed = []
    for name in unknown:
        nearest = get_close_matches(name, known, n=1)
        listed.append(f"{name!r} (nearest: {nearest[0]})" if nearest else repr(name))
    raise RecipeError(
        f"no recipe is called {' or '.join(listed)}: there {'is' if len(shipped) == 1 else 'are'} "
        f"{', '.join(shipped) or 'none'}; `mirror recipes` lists all, including the paper's"
    )


def local_path(path: str, is_there: Callable[[Path], bool] = Path.exists) -> Path:
    """Return a path in the checkout if it exists there, else in the working folder; absolute.

    `~` is the user's home folder; if there is no such user, it is part of the folder's name.
    """
    in_checkout, here = local_places(path)
    return in_checkout if is_there(in_checkout) else here


def local_places(path: str) -> tuple[Path, Path]:
    """Return where a path is looked for: in the checkout, then in the working folder.

    For an absolute path both are the same.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        expanded = Path(path)
    return CHECKOUT / expanded, expanded.absolute()


def check_output(path: Path, endings: Sequence[str]) -> None:
    """Raise InputError if an output file has another ending, or its folder is missing.

    Call it before the work whose result goes into the file.
    """
    if path.suffix not in endings:
        raise InputError(f"{path} ends in neither {' nor '.join(endings)}: name one that does")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of {path} does not exist: create {path.parent} first")


PARTS = ("stages", "work", "locks", "runs", "registered", "servers", "pretraining", "mlflow.db")
"""Entries of a workspace: a folder without any of them is not one."""


def workspace_root() -> Path:
    """Return the workspace's path: `MIRROR_HOME`, else `.mirror` in the checkout."""
    return Path(os.environ.get("MIRROR_HOME") or CHECKOUT / ".mirror").absolute()


def writable_workspace() -> Path:
    """Return the workspace of a command that writes into it; it need not exist yet.

    Raises:
        StoreError: it cannot be created or written.
    """
    root = workspace_root()
    existing = next(path for path in (root, *root.parents) if path.exists())
    if fault := write_fault(existing):
        raise StoreError(
            f"the workspace {root} cannot be written ({fault}): free some space, correct the "
            "folder's permissions, or set MIRROR_HOME to another folder"
        )
    return root


def open_workspace(*, for_registry: bool = False) -> Path:
    """Return the workspace of a command that only reads it or cleans it.

    A workspace that the user names must exist: a typing error must not create one.

    Args:
        for_registry: only the registry is read, which may be outside the workspace.

    Raises:
        InputError: the folder that the user named has no workspace.
        StoreError: it is a file, or cannot be created.
    """
    root = workspace_root()
    default = f"sqlite:///{root / 'mlflow.db'}"
    elsewhere = for_registry and (os.environ.get("MLFLOW_TRACKING_URI") or default) != default
    named = bool(os.environ.get("MIRROR_HOME"))
    is_file = root.exists() and not root.is_dir()
    if named and not (elsewhere or is_file or any((root / part).exists() for part in PARTS)):
        raise InputError(f"no workspace at {root}: check --workspace or MIRROR_HOME")
    return root if root.is_dir() else writable_workspace()


def nearest_folder(path: Path) -> Path:
    """Return the path if it is a folder, else its nearest parent that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def write_fault(folder: Path) -> str | None:
    """Return why a folder, or its nearest parent, cannot be written; None if a test file can."""
    if folder.exists() and not folder.is_dir():
        return "it is a file"
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(folder)) as probe:
            probe.write(b"probe")
    except OSError as error:
        return error.strerror or str(error)
    return None
