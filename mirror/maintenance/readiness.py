"""Readiness of recipes on this machine: whether text, base and benchmarks are here or in reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from mirror.corpus.sources import source_libraries
from mirror.corpus_config import find_source
from mirror.encoders.base_model import cached_base, locate_base
from mirror.errors import MirrorError, RecipeError, ServiceError
from mirror.evaluation.datasets import check_benchmarks
from mirror.maintenance.health_check import CheckResult
from mirror.maintenance.network import check_hub
from mirror.paths import local_path
from mirror.recipe import Recipe, find_recipe, recipe_names

NETWORK_SOURCES = ("hub", "published")
"""Sources whose check would download a file."""


def missing_part(recipe: Recipe) -> str:
    """Return why a recipe cannot run on this machine now, in a line; empty if it can.

    Nothing is downloaded; the hub is asked once for each process.
    """
    checks: tuple[Callable[[], object], ...] = (
        partial(_check_text, recipe),
        partial(_check_base, recipe),
        partial(check_benchmarks, recipe.evaluation.benchmarks, recipe.evaluation.guard),
    )
    for check in checks:
        try:
            check()
        except MirrorError as error:
            return str(error).splitlines()[0]
    return ""


def check_recipes(names: tuple[str, ...] | None = None) -> Iterator[CheckResult]:
    """Check which recipes can run here, for `mirror doctor`; all shipped ones if none is named."""
    ready, waiting = list[str](), dict[str, list[str]]()
    for name in recipe_names() if names is None else names:
        try:
            reason = missing_part(find_recipe(name))
        except RecipeError as error:
            reason = str(error).splitlines()[0]
        (waiting.setdefault(reason, []) if reason else ready).append(name)
    yield CheckResult("recipes", "ok", f"ready: {', '.join(ready) or 'none'}")
    for reason, held_up in waiting.items():
        text = f"not ready: {', '.join(held_up)}: {reason}"
        yield CheckResult("recipes", "warn", text, "then `mirror deploy`, which pauses them now")


def _check_text(recipe: Recipe) -> None:
    source_libraries(recipe.corpus)
    if recipe.corpus.source not in NETWORK_SOURCES:
        find_source(recipe.corpus.source).check(recipe.corpus, recipe)
    elif recipe.corpus.source == "hub" and not _is_local(recipe):
        _ask_hub()


def _is_local(recipe: Recipe) -> bool:
    return local_path(str(vars(recipe.corpus)["dataset"])).exists()


def _check_base(recipe: Recipe) -> None:
    base = recipe.base
    if base.path is not None:
        locate_base(base, Path)
    elif base.hub is not None and cached_base(base) is None:
        _ask_hub()


def _ask_hub() -> None:
    if fault := _hub_fault():
        raise ServiceError(fault)


@cache
def _hub_fault() -> str:
    result = check_hub()
    return "" if result.state == "ok" and not result.remedy else f"hub {result.text}"
