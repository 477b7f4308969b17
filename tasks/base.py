"""Finding the base model as a task."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prefect import task

from mirror.encoders import base_model
from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from tasks.registry import fetch_model
from tasks.retries import RETRIES


@task(task_run_name="find_base", **RETRIES)
def find_base(recipe: Recipe, workspace: Path) -> EncoderRef:
    """Finds the masked language model to start from, and checks that it will do."""
    base = base_model.find_base(recipe.base, partial(fetch_model, workspace=workspace))
    base_model.check_base_for(recipe, Path(base.folder))
    return base
