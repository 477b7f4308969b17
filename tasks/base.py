"""Finding the base model as a task."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prefect import task

from mirror import base_model
from mirror.base_model import Base
from mirror.errors import BaseModelError
from mirror.local_paths import local_path
from mirror.recipe import BaseSection, Recipe
from tasks.registry import fetch_model
from tasks.retrying import RETRIES


@task(task_run_name="find_base", **RETRIES)
def find_base(recipe: Recipe, workspace: Path) -> Base:
    """Finds the masked language model to start from, and checks that it will do."""
    base = base_model.find_base(recipe.base, partial(fetch_model, workspace=workspace))
    base_model.check_base_for(recipe, Path(base.folder))
    return base


def choose_base(recipe: Recipe, path: str) -> Recipe:
    """The recipe, starting from the model in the folder `path`; as it is if that is empty.

    Raises:
        BaseModelError: there is no such folder.
    """
    if not path:
        return recipe
    if not local_path(path, Path.is_dir).is_dir():
        raise BaseModelError(f"no base model at {path}: name a model's folder with --base")
    return recipe.model_copy(update={"base": BaseSection(path=path)})
