"""Which recipes to run, out of many."""

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
    """Recipes by name, or those of languages and domains; all of a shipped folder where it says so.

    Languages and domains narrow each other; without names they choose among all.
    """

    names: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    everything: bool = False

    @property
    def is_one(self) -> bool:
        """Whether it is one recipe by its name."""
        return len(self.names) == 1 and not self.chooses

    @property
    def chooses(self) -> bool:
        """Whether it chooses among all by something other than names."""
        return bool(self.languages or self.domains or self.everything)


def choose_recipes(choice: RecipeSelection, folder: Path = RECIPES) -> tuple[Recipe, ...]:
    """The recipes that are meant, each read and checked.

    Raises:
        RecipeError: a recipe has faults (those of all are listed), a name comes twice or two
            recipes register one model, or nothing fits.
    """
    if bool(choice.names) == choice.chooses:
        raise RecipeError("name recipes, or choose by language, domain or all: one of the two")
    found = _read(choice.names or tuple(recipe_names(folder)), folder)
    chosen = tuple(
        recipe
        for recipe in found
        if (not choice.languages or recipe.language in choice.languages)
        and (not choice.domains or recipe.domain in choice.domains)
    )
    _check_names(choice, found)
    if not chosen:
        raise RecipeError(f"no recipe has that language and that domain: {_listed(found)}")
    _check_apart(chosen)
    return chosen


def read_judged(name: str, folder: Path = RECIPES) -> Recipe:
    """A recipe whose benchmarks are known and one of which the gate judges by.

    Raises:
        RecipeError: it has faults, or its benchmarks have.
    """
    recipe = find_recipe(name, folder)
    try:
        check_definitions(recipe.evaluation.benchmarks)
    except BenchmarkError as error:
        raise RecipeError(f"{recipe.name}: {error}") from error
    return recipe


def _read(names: Sequence[str], folder: Path) -> tuple[Recipe, ...]:
    recipes, faults = [], []
    unknown = unknown_names(names, folder)
    for name in names:
        try:
            if name not in unknown:
                recipes.append(read_judged(name, folder))
        except RecipeError as fault:
            faults.append(str(fault))
    try:
        check_known(unknown, folder)
    except RecipeError as fault:
        faults.append(str(fault))
    if faults:
        raise RecipeError("\n".join(faults))
    return tuple(recipes)


def _check_names(choice: RecipeSelection, recipes: Sequence[Recipe]) -> None:
    """A language or domain that nothing has is a slip, even where the others fit."""
    for kind, wanted, known in (
        ("language", choice.languages, {recipe.language for recipe in recipes}),
        ("domain", choice.domains, {recipe.domain for recipe in recipes}),
    ):
        if absent := sorted(set(wanted) - known):
            raise RecipeError(f"no recipe has the {kind} {', '.join(absent)}: {_listed(recipes)}")


def _check_apart(recipes: Sequence[Recipe]) -> None:
    by_model: dict[str, list[str]] = {}
    for recipe in recipes:
        by_model.setdefault(recipe.registry.model, []).append(recipe.name)
    for model, names in by_model.items():
        if len(names) > 1:
            raise RecipeError(
                f"{' and '.join(names)} register the same model {model}: run one of them, or give "
                "each a registry.model of its own"
            )


def _listed(recipes: Sequence[Recipe]) -> str:
    names = (f"{recipe.name} ({recipe.language}, {recipe.domain})" for recipe in recipes)
    return f"there are {', '.join(names) or 'none'}"
