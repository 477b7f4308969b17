"""Workspaces: created by commands that write, required by commands that read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import InputError, StoreError
from mirror.paths import open_workspace, writable_workspace
from mirror.store import Store


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
