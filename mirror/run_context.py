"""The context of a run: its recipe, read once, and its workspace."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.base_model import choose_base
from mirror.encoders.base_settings import settle_recipe
from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from mirror.recipe_selection import read_checked_recipe
from mirror.store import StageRecord, Store


class RunContext:
    """A recipe and the workspace that it runs in.

    Not a dataclass: Prefect would search its fields for what tasks returned, and show an arrow
    from a task to every other that is given an equal string.
    """

    def __init__(self, recipe: Recipe, store: Store, request: tuple[str, str] = ("", "")) -> None:
        """Describe a run.

        Args:
            recipe: the settings, with the base that was asked for.
            store: the workspace.
            request: the name of the recipe and the path of another base, as they were given.
        """
        self.recipe = recipe
        self.store = store
        self.request = request
        self.is_checked = False
        """Whether everything that can be checked before long work has been."""

    def settle(self, base: EncoderRef, corpus: StageRecord) -> RunContext:
        """Return the run with every setting that its recipe leaves to base and corpus."""
        from mirror.sampling.documents import settle_views  # loads DuckDB and PyArrow

        recipe = settle_recipe(settle_views(self.recipe, corpus), Path(base.folder))
        run = RunContext(recipe, self.store, self.request)
        run.is_checked = self.is_checked
        return run

    @property
    def workspace(self) -> Path:
        """The folder of the workspace."""
        return self.store.root


def load_run(recipe: str, base: str, workspace: Path) -> RunContext:
    """Read a recipe and open the workspace that it runs in.

    Args:
        recipe: a name that `mirror recipes` lists, or the path of a `.toml` file.
        base: the folder of a model to start from; empty for the recipe's own base.
        workspace: a folder, which is made if it is missing.

    Raises:
        RecipeError: the recipe is missing or has faults.
        BaseModelError: there is no folder `base`.
        StoreError: the workspace cannot be made or written.
    """
    return RunContext(
        choose_base(read_checked_recipe(recipe), base), Store(workspace), (recipe, base)
    )
