"""Remembered answers of the registry: they hold only while its file is unchanged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mirror.encoders.encoder_ref import folder_encoder_digest
from tasks.registry.candidate import Champion, Registration
from tasks.registry.remembered_answers import RegistryAnswers, recall, registry_state, remember

MODEL = "mirror-en-trades"
REGISTRATION = Registration(
    MODEL, "2", "2", "promoted", "run", "a sentence", reused=True, pages=(("Run", "http://a"),)
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An SQLite file that MLFLOW_TRACKING_URI names."""
    path = tmp_path / "mlflow.db"
    change(path, "create table versions (number)")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    yield path


@pytest.fixture
def champion(tmp_path: Path) -> Champion:
    """A registered version with its local copy."""
    folder = tmp_path / "registered"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return Champion(str(folder), folder_encoder_digest(folder), "models:/a/1", version="1")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def answers(champion: Champion | None = None) -> RegistryAnswers:
    return RegistryAnswers("e" * 64, champion, "key", REGISTRATION)


def test_answers_are_recalled_while_the_file_is_unchanged(
    file: Path, tmp_path: Path, champion: Champion
) -> None:
    remember(answers(champion), tmp_path, registry_state())
    assert recall(MODEL, tmp_path) == answers(champion)
    assert recall("another-model", tmp_path) is None


def test_answers_without_champion_are_recalled(file: Path, tmp_path: Path) -> None:
    remember(answers(), tmp_path, registry_state())
    assert recall(MODEL, tmp_path) == answers()


def test_a_transaction_invalidates_them_even_if_size_and_time_stay(
    file: Path, tmp_path: Path
) -> None:
    remember(answers(), tmp_path, registry_state())
    state = file.stat()
    change(file, "insert into versions values (3)")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_size == state.st_size
    assert recall(MODEL, tmp_path) is None


def test_nothing_is_kept_if_the_registry_changed_meanwhile(file: Path, tmp_path: Path) -> None:
    before = registry_state()
    change(file, "insert into versions values (3)")
    remember(answers(), tmp_path, before)
    assert recall(MODEL, tmp_path) is None


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_a_file_that_is_being_written_has_no_state(file: Path, tmp_path: Path, suffix: str) -> None:
    remember(answers(), tmp_path, registry_state())
    Path(f"{file}{suffix}").write_bytes(b"x")
    assert registry_state() is None
    assert recall(MODEL, tmp_path) is None


def test_a_tracking_server_is_always_asked(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(answers(), tmp_path, registry_state())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert registry_state() is None
    assert recall(MODEL, tmp_path) is None


def test_a_changed_copy_of_the_champion_is_fetched_again(
    file: Path, tmp_path: Path, champion: Champion
) -> None:
    remember(answers(champion), tmp_path, registry_state())
    (Path(champion.folder) / "config.json").write_text("{ }")
    assert recall(MODEL, tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", '{"uri": 1}'])
def test_a_damaged_file_is_no_answer(file: Path, tmp_path: Path, text: str) -> None:
    remember(answers(), tmp_path, registry_state())
    (tmp_path / "registry" / f"{MODEL}.json").write_text(text)
    assert recall(MODEL, tmp_path) is None
