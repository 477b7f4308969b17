"""A workspace is made by commands that write into it, and must be there for those that read."""

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


def test_who_writes_needs_none_yet(home: Path) -> None:
    assert writable_workspace() == home
    assert not home.exists()


def test_who_reads_finds_it(home: Path) -> None:
    Store(home)
    assert open_workspace() == open_workspace(for_registry=True) == home


def test_who_reads_makes_none(home: Path) -> None:
    for for_registry in (False, True):
        with pytest.raises(InputError, match=f"no workspace at {home}"):
            open_workspace(for_registry=for_registry)
    assert not home.exists()


def test_a_folder_of_something_else_is_none(home: Path) -> None:
    (home / "photos").mkdir(parents=True)
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace()


def test_none_is_needed_where_the_registry_is_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace()
    assert open_workspace(for_registry=True) == home


def test_the_address_of_its_own_registry_is_not_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    with pytest.raises(InputError, match="no workspace at"):
        open_workspace(for_registry=True)


@pytest.mark.parametrize("place", ["notes.txt", "notes.txt/below"])
def test_what_cannot_be_a_folder_is_told(
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
