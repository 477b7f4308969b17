"""Where recipes are, and what is said of a name that none has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mirror.errors import RecipeError

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
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
