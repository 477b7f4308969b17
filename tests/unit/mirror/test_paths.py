"""Paths in recipes, and workspaces: created by commands that write, required by the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mirror import paths
from mirror.corpus.sources import read_documents, source_digests
from mirror.errors import InputError, StoreError
from mirror.paths import local_path, open_workspace, writable_workspace
from mirror.recipe import Recipe
from mirror.store import Store
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_command_that_writes_needs_no_existing_workspace(home: Path) -> None:
    assert writable_workspace() == home
    assert not home.exists()


def test_a_command_that_reads_opens_the_workspace(home: Path) -> None:
    Store(home)
    assert open_workspace() == open_workspace(for_registry=True) == home


def test_a_command_that_reads_does_not_create_the_named_workspace(home: Path) -> None:
    for for_registry in (False, True):
        with pytest.raises(InputError, match=f"no workspace at {home}"):
            open_workspace(for_registry=for_registry)
    assert not home.exists()


def test_a_folder_with_other_files_is_not_a_workspace(home: Path) -> None:
    (home / "photos").mkdir(parents=True)
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace()


def test_no_workspace_is_needed_for_a_registry_outside_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace()
    assert open_workspace(for_registry=True) == home


def test_the_workspaces_own_registry_needs_the_workspace(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace(for_registry=True)


@pytest.mark.parametrize("place", ["notes.txt", "notes.txt/below"])
def test_an_impossible_folder_is_an_error(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / place))
    with pytest.raises(StoreError, match=r"cannot be written .*set MIRROR_HOME to another"):
        writable_workspace()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    with pytest.raises(StoreError, match="cannot be written"):
        open_workspace(for_registry=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
