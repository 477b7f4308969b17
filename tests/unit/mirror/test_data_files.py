"""Declared files: folders to search, and validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from mirror.data_files import DataFile, data_roots, fetched_root

SHA = "0" * 64


def test_a_named_folder_comes_before_the_workspace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIRROR_LISTS", str(tmp_path / "named"))
    named, fetched = data_roots("lists", "MIRROR_LISTS")
    assert named == tmp_path / "named"
    assert fetched == fetched_root("lists") == tmp_path / "home" / "lists"
    monkeypatch.delenv("MIRROR_LISTS")
    assert data_roots("lists", "MIRROR_LISTS") == (fetched,)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("path", ["/etc/passwd", "../list.txt", "a/../../list.txt"], "leaves its folder"),
        ("path", ["", ".", "a\0b"], "names no file"),
        ("sha256", ["", "0" * 63, "G" * 64, "A" * 64], "sha256"),
        (
            "url",
            ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://a.example/b", "data:,x", "/a/b"],
            r"not an http\(s\) address",
        ),
    ],
    ids=["path outside the folder", "path of no file", "checksum", "address outside the web"],
)
def test_invalid_declarations_are_refused(key: str, values: list[str], message: str) -> None:
    for value in values:
        with pytest.raises(ValidationError, match=message):
            DataFile(**{"path": "list.txt", "sha256": SHA, key: value})
