"""The digest of a stage's code: moved by what runs, not by what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror import hashing


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "mirror"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "inner.py").write_text("LIMIT = 3\n")
    (root / "stage.py").write_text(
        "def run():\n    from mirror.inner import LIMIT\n    return LIMIT\n"
    )
    (root / "apart.py").write_text("X = 1\n")
    monkeypatch.setattr(hashing, "ROOT", tmp_path)
    hashing.code_hash.cache_clear()
    return root


def digest() -> str:
    hashing.code_hash.cache_clear()
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
