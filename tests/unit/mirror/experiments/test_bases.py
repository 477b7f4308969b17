"""Search of the paper's bases."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import BaseModelError, StudyError
from mirror.experiments.bases import (
    BaseFolders,
    paper_base,
    read_named,
    read_stand_ins,
    stand_in_base,
    without_folders,
)
from mirror.experiments.paper_plan import hub_ids
from mirror.recipe import Recipe, find_recipe

from .conftest import REVISION

HUB = "someone/some-base"


@pytest.fixture
def recipe(invented_paper: Callable[[], Path], tmp_path: Path) -> Recipe:
    invented_paper()
    return find_recipe("en-trades", tmp_path / "recipes")


def test_a_missing_base_is_named_with_its_remedy(recipe: Recipe) -> None:
    with pytest.raises(StudyError) as fault:
        paper_base(recipe, BaseFolders())
    assert str(fault.value) == f"{HUB} is not on this machine: --base {HUB}=PATH, or --download"


def test_a_named_folder_is_used(recipe: Recipe, tiny_base: Path) -> None:
    base = paper_base(recipe, BaseFolders(named={HUB: tiny_base}))
    # Its revision is unknown.
    assert (base.folder, base.origin) == (str(tiny_base), HUB)


@pytest.mark.parametrize("name", ["someone/some-base", "someone--some-base", "some-base"])
def test_a_folder_of_bases_is_searched(
    recipe: Recipe, tiny_base: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(tiny_base, tmp_path / "bases" / name)
    base = paper_base(recipe, BaseFolders(folder=tmp_path / "bases"))
    assert base.folder == str(tmp_path / "bases" / name)


def test_the_hubs_cache_is_searched_without_the_network(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "cache" / "models--someone--some-base"
    shutil.copytree(tiny_base, repository / "snapshots" / REVISION)
    base = paper_base(recipe, BaseFolders())
    assert base.origin == f"{HUB}@{REVISION}"


def test_an_old_name_without_owner_is_found_in_the_cache(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_base, tmp_path / "cache" / "models--some-base" / "snapshots" / REVISION)
    base = paper_base(recipe, BaseFolders())
    assert base.origin == f"{HUB}@{REVISION}"


def test_the_owner_may_be_left_out(recipe: Recipe, tiny_base: Path) -> None:
    assert read_named((f"some-base={tiny_base}",), hub_ids()) == {HUB: tiny_base}
    two = frozenset({HUB, "another/some-base"})
    with pytest.raises(StudyError, match="another/some-base, someone/some-base: name one"):
        read_named((f"some-base={tiny_base}",), two)


def test_another_revision_in_the_cache_is_not_the_base(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "cache" / "models--someone--some-base"
    shutil.copytree(tiny_base, repository / "snapshots" / REVISION[::-1])
    with pytest.raises(StudyError, match="is not on this machine"):
        paper_base(recipe, BaseFolders())


def test_a_damaged_base_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(BaseModelError, match=r"config\.json cannot be read as JSON") as fault:
        paper_base(recipe, BaseFolders(named={HUB: tmp_path / "broken"}))
    assert str(tmp_path) not in without_folders(str(fault.value))


def test_a_stand_in_serves_its_language_alone(
    recipe: Recipe, tiny_base: Path, tmp_path: Path
) -> None:
    folders = BaseFolders(stand_ins={"en": tiny_base})
    assert stand_in_base(recipe, folders, ["en"]).origin == tiny_base.name
    with pytest.raises(StudyError, match="no stand-in for fr: --stand-in fr=PATH"):
        stand_in_base(find_recipe("fr-trades", tmp_path / "recipes"), folders, ["fr"])
    # It never replaces the paper's own base.
    with pytest.raises(StudyError, match="is not on this machine"):
        paper_base(recipe, folders)


def test_stand_ins_are_read_with_and_without_a_language(tmp_path: Path) -> None:
    assert read_stand_ins((), tmp_path) == {"en": tmp_path}
    (tmp_path / "a=b").mkdir()
    options = (f"de={tmp_path}", str(tmp_path / "a=b"))
    assert read_stand_ins(options, tmp_path) == {"de": tmp_path, "en": tmp_path / "a=b"}
    with pytest.raises(StudyError, match="--stand-in fr=nowhere: there is no folder nowhere"):
        read_stand_ins(("fr=nowhere",), tmp_path)
    for empty in ("", "fr="):
        with pytest.raises(StudyError, match="names no folder"):
            read_stand_ins((empty,), tmp_path)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("someone/some-base", "give it as HUB_ID=PATH"),
        ("other/base=.", "the recipes' bases are someone/some-base: name one of them"),
        (f"{HUB}=nowhere", "there is no folder nowhere"),
    ],
)
def test_a_wrong_base_option_is_refused(recipe: Recipe, option: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        read_named((option,), hub_ids())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "no text at /home/someone/lists/en.txt (corpus.paths)",
            "no text at en.txt (corpus.paths)",
        ),
        ("no a/b.csv in /x/y, /z/w: get it", "no a/b.csv in y, w: get it"),
        ("two\n  lines", "two lines"),
        ("see https://example.org/a/b.tsv for it", "see https://example.org/a/b.tsv for it"),
        ("--base org/name=PATH", "--base org/name=PATH"),
        ("`/a/b`: gone", "`b`: gone"),
        ("models/some/base has none", "models/some/base has none"),
    ],
)
def test_messages_are_one_line_without_folders(text: str, shown: str) -> None:
    assert without_folders(text) == shown
