"""Bases: where they are found, and what is said where they are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import PaperError
from mirror.experiments.bases import (
    BasePlaces,
    paper_base,
    read_named,
    read_stand_ins,
    stand_in_base,
)
from mirror.experiments.paper_plan import hub_ids
from mirror.recipe import Recipe, find_recipe

from .conftest import REVISION

HUB = "someone/some-base"


@pytest.fixture
def recipe(invented: Callable[[], Path], tmp_path: Path) -> Recipe:
    invented()
    return find_recipe("en-trades", tmp_path / "recipes")


def test_a_missing_base_is_named_with_its_remedy(recipe: Recipe) -> None:
    found = paper_base(recipe, BasePlaces())
    assert found.base is None
    assert found.reason == f"{HUB} is not on this machine: --base {HUB}=PATH, or --download"


def test_a_folder_that_was_named_is_taken(recipe: Recipe, tiny_base: Path) -> None:
    found = paper_base(recipe, BasePlaces(named={HUB: tiny_base})).base
    assert found is not None
    # Whether it is that revision is not known, and so not said.
    assert (found.folder, found.origin) == (str(tiny_base), HUB)


@pytest.mark.parametrize("name", ["someone/some-base", "someone--some-base", "some-base"])
def test_a_folder_of_bases_is_searched(
    recipe: Recipe, tiny_base: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(tiny_base, tmp_path / "bases" / name)
    found = paper_base(recipe, BasePlaces(folder=tmp_path / "bases")).base
    assert found is not None
    assert found.folder == str(tmp_path / "bases" / name)


def test_the_hubs_cache_is_looked_into_without_the_network(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "cache" / "models--someone--some-base"
    shutil.copytree(tiny_base, repository / "snapshots" / REVISION)
    found = paper_base(recipe, BasePlaces()).base
    assert found is not None
    assert found.origin == f"{HUB}@{REVISION}"


def test_an_old_name_without_owner_is_found_in_the_cache(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_base, tmp_path / "cache" / "models--some-base" / "snapshots" / REVISION)
    found = paper_base(recipe, BasePlaces()).base
    assert found is not None
    assert found.origin == f"{HUB}@{REVISION}"


def test_the_owner_may_be_left_out(recipe: Recipe, tiny_base: Path) -> None:
    assert read_named((f"some-base={tiny_base}",), hub_ids()) == {HUB: tiny_base}
    two = frozenset({HUB, "another/some-base"})
    with pytest.raises(PaperError, match="another/some-base, someone/some-base: name one"):
        read_named((f"some-base={tiny_base}",), two)


def test_another_revision_in_the_cache_is_not_the_base(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "cache" / "models--someone--some-base"
    shutil.copytree(tiny_base, repository / "snapshots" / REVISION[::-1])
    assert paper_base(recipe, BasePlaces()).base is None


def test_an_unfit_base_says_so_without_folders(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    found = paper_base(recipe, BasePlaces(named={HUB: tmp_path / "broken"}))
    assert found.base is None
    assert "config.json cannot be read as JSON" in found.reason
    assert str(tmp_path) not in found.reason


def test_a_stand_in_serves_its_language_alone(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    places = BasePlaces(stand_ins={"en": tiny_base})
    english = stand_in_base(recipe, places, ["en"]).base
    assert english is not None
    assert english.origin == tiny_base.name
    french = stand_in_base(find_recipe("fr-trades", tmp_path / "recipes"), places, ["fr"])
    assert (french.base, french.reason) == (None, "no stand-in for fr: --stand-in fr=PATH")
    # And it is never taken for the paper's own.
    assert paper_base(recipe, places).base is None


def test_stand_ins_are_read_with_and_without_a_language(tmp_path: Path) -> None:
    assert read_stand_ins((), tmp_path) == {"en": tmp_path}
    (tmp_path / "a=b").mkdir()
    given = (f"de={tmp_path}", str(tmp_path / "a=b"))
    assert read_stand_ins(given, tmp_path) == {"de": tmp_path, "en": tmp_path / "a=b"}
    with pytest.raises(PaperError, match="--stand-in fr=nowhere: there is no folder nowhere"):
        read_stand_ins(("fr=nowhere",), tmp_path)
    for nothing in ("", "fr="):
        with pytest.raises(PaperError, match="names no folder"):
            read_stand_ins((nothing,), tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("someone/some-base", "give it as HUB_ID=PATH"),
        ("other/base=.", "the recipes' bases are someone/some-base: name one of them"),
        (f"{HUB}=nowhere", "there is no folder nowhere"),
    ],
)
def test_a_wrong_base_option_is_refused(recipe: Recipe, given: str, told: str) -> None:
    with pytest.raises(PaperError, match=told):
        read_named((given,), hub_ids())
