"""Paths in recipes, relative to the checkout or the working folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mirror import paths
from mirror.corpus.sources import read_documents, source_digests
from mirror.paths import local_path
from mirror.recipe import Recipe
from tests.fixtures.recipes import make_recipe

NO_USER = "~no-such-user-anywhere/texts"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that is not the working folder, which is `tmp_path / "here"`."""
    for folder in ("checkout", "here"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "checkout"


def test_the_checkout_is_searched_before_the_working_folder(checkout: Path) -> None:
    here = Path.cwd()
    assert local_path("set") == here / "set"
    (here / "set").mkdir()
    assert local_path("set") == here / "set"
    (checkout / "set").mkdir()
    assert local_path("set") == checkout / "set"
    assert local_path(str(here / "set")) == here / "set"


def test_a_tilde_is_the_home_folder_or_part_of_a_name(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(checkout.parent))
    assert local_path("~/texts") == checkout.parent / "texts"
    assert local_path(NO_USER) == Path.cwd() / NO_USER


def data_set(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text(json.dumps({"text": text}) + "\n")


def hub_recipe() -> Recipe:
    return make_recipe(corpus={"source": "hub", "dataset": "sets/boats"})


def test_a_local_dataset_is_searched_in_the_checkout_and_then_in_the_working_folder(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data_set(Path.cwd() / "sets" / "boats", "one oar")
    here = source_digests(hub_recipe())
    assert [document.text for document in read_documents(hub_recipe())] == ["one oar"]
    data_set(checkout / "sets" / "boats", "two oars")
    assert [document.text for document in read_documents(hub_recipe())] == ["two oars"]
    assert source_digests(hub_recipe()) != here
