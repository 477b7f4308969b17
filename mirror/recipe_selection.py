"""Selection of the recipes to run, by name, language or domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirror.errors import BenchmarkError, RecipeError
from mirror.evaluation.benchmark import check_definitions
from mirror.paths import check_known, unknown_names
from mirror.recipe import RECIPES, Recipe, find_recipe, recipe_names


@dataclass(frozen=True)
class RecipeSelection:
    """Recipes by name, or all recipes, or those of some languages and domains.

    With both languages and domains, a recipe must fit both.
    """

    names: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    everything: bool = False

    @property
    def is_one(self) -> bool:
        """Whether this is one recipe by name."""
        return len(self.names) == 1 and not self.has_filter

    @property
    def has_filter(self) -> bool:
        """Whether this selects by something other than names."""
        return bool(self.languages or self.domains or self.everything)


def choose_recipes(selection: RecipeSelection, folder: Path = RECIPES) -> tuple[Recipe, ...]:
    """Read and check the selected recipes.

    Raises:
        RecipeError: recipes have faults (all are listed), a name is given twice, two recipes
            register one model, or no recipe is selected.
    """
    if bool(selection.names) == selection.has_filter:
        raise RecipeError("name recipes, or choose by language, domain or all: one of the two")
    recipes = _read(selection.names or tuple(recipe_names(folder)), folder)
    chosen = tuple(
        recipe
        for recipe in recipes
        if (not selection.languages or recipe.language in selection.languages)
        and (not selection.domains or recipe.domain in selection.domains)
    )
    _check_filters(selection, recipes)
    if not chosen:
        raise RecipeError(
            f"no recipe has both this language and this domain: {_recipe_list(recipes)}"
        )
    _check_models_differ(chosen)
    return chosen


def read_checked_recipe(name: str, folder: Path = RECIPES) -> Recipe:
    """Return a recipe; raise an error if the gate uses none of its benchmarks.

    Raises:
        RecipeError: the recipe or its benchmarks have faults.
    """
    recipe = find_recipe(name, folder)
    try:
        check_definitions(recipe.evaluation.benchmarks, guard=recipe.evaluation.guard)
    except BenchmarkError as error:
        raise RecipeError(f"{recipe.name}: {error}") from error
    return recipe


def _read(names: Sequence[str], folder: Path) -> tuple[Recipe, ...]:
    recipes, faults = [], []
    unknown = unknown_names(names, folder)
    for name in names:
        try:
            if name not in unknown:
                recipes.append(read_checked_recipe(name, folder))
        except RecipeError as fault:
            faults.append(str(fault))
    try:
        check_known(unknown, folder)
    except RecipeError as fault:
        faults.append(str(fault))
    if faults:
        raise RecipeError("\n".join(faults))
    return tuple(recipes)


def _check_filters(selection: RecipeSelection, recipes: Sequence[Recipe]) -> None:
    """Raise RecipeError if no recipe has one of the languages or domains, even if others match."""
    for kind, values, known in (
        ("language", selection.languages, {recipe.language for recipe in recipes}),
        ("domain", selection.domains, {recipe.domain for recipe in recipes}),
    ):
        if absent := sorted(set(values) - known):
            raise RecipeError(
                f"no recipe has the {kind} {', '.join(absent)}: {_recipe_list(recipes)}"
            )


def _check_models_differ(recipes: Sequence[Recipe]) -> None:
    by_model: dict[str, list[str]] = {}
    for recipe in recipes:
        by_model.setdefault(recipe.registry.model, []).append(recipe.name)
    for model, names in by_model.items():
        if len(names) > 1:
            raise RecipeError(
                f"{' and '.join(names)} register the same model {model}: run one of them, or give "
                "each a registry.model of its own"
            )


def _recipe_list(recipes: Sequence[Recipe]) -> str:
    names = (f"{recipe.name} ({recipe.language}, {recipe.domain})" for recipe in recipes)
    return f"there are {', '.join(names) or 'none'}"
