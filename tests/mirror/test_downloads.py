"""A file comes whole or not at all; the rest is in the tests of what fetches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mirror.downloads import download_file, is_declared
from mirror.errors import CorpusError, ServiceError, StoreError
from mirror.published import DataFile

CONTENT = b"oar\nmast\n"
FILE = DataFile(path="lists/words.txt", sha256=hashlib.sha256(CONTENT).hexdigest())


def test_a_file_is_put_in_its_place(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    place = download_file(FILE, f"{served[1]}/words.txt", tmp_path, "a test", CorpusError)
    assert place == tmp_path / "lists" / "words.txt"
    assert place.read_bytes() == CONTENT
    assert is_declared(place, FILE)
    assert [path.name for path in place.parent.iterdir()] == ["words.txt"]


def test_what_is_at_fault_is_the_callers(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT + b"more\n")
    with pytest.raises(CorpusError, match=r"recipe x: .*sent another file"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path, "recipe x", CorpusError)
    assert not list((tmp_path / "lists").iterdir())


def test_where_to_put_it_by_hand_is_said_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"put it at .*lists/words\.txt"):
        download_file(FILE, "http://127.0.0.1:9/words.txt", tmp_path, "a test", CorpusError)


def test_a_folder_that_cannot_be_written_is_said(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    (tmp_path / "lists").write_text("a file in the folder's place")
    with pytest.raises(StoreError, match=r"words\.txt cannot be written"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path, "a test", CorpusError)
