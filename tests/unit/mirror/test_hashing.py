"""Digests of code, which comments do not change, and of files, each read once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror import hashing


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "mirror"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "inner.py").write_text("LIMIT = 3\n")
    (root / "stage.py").write_text(
        "def run():\n    from mirror.inner import LIMIT\n    return LIMIT\n"
    )
    (root / "apart.py").write_text("X = 1\n")
    monkeypatch.setattr(hashing, "ROOT", tmp_path)
    forget()
    yield root
    monkeypatch.undo()
    forget()


def forget() -> None:
    hashing.code_hash.cache_clear()
    hashing._module.cache_clear()


def digest() -> str:
    forget()
    return hashing.code_hash("stage")


def test_a_change_in_an_imported_module_counts(package: Path) -> None:
    before = digest()
    (package / "inner.py").write_text("LIMIT = 4\n")
    assert digest() != before


def test_comments_docstrings_and_layout_do_not_count(package: Path) -> None:
    before = digest()
    (package / "inner.py").write_text('"""Limits."""\n\n# three is enough\nLIMIT  =  3\n')
    assert digest() == before


def test_a_module_that_is_not_reached_does_not_count(package: Path) -> None:
    before = digest()
    (package / "apart.py").write_text("X = 2\n")
    assert digest() == before


def test_submodules_of_packages_are_reached() -> None:
    reached = hashing.reached_modules("mirror.pretraining.stage")
    assert {
        "mirror.pretraining.trainer",
        "mirror.pretraining.objective",
        "mirror.errors",
    } <= reached


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    os.utime(path, ns=(1, 1))
    digest = hashing.file_digest(path)
    monkeypatch.setattr(hashing, "read_digest", lambda _: pytest.fail("read again"))
    assert hashing.file_digest(path) == digest


def test_a_file_that_has_just_changed_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    digest = hashing.file_digest(path)
    path.write_bytes(b"Weights")
    assert hashing.file_digest(path) != digest
