"""Where published files are looked for."""

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


@pytest.mark.parametrize("path", ["/etc/passwd", "../list.txt", "a/../../list.txt"])
def test_a_file_stays_in_its_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="leaves its folder"):
        DataFile(path=path, sha256=SHA)


@pytest.mark.parametrize("sha256", ["", "0" * 63, "G" * 64, "A" * 64])
def test_a_checksum_is_64_hexadecimal_digits(sha256: str) -> None:
    with pytest.raises(ValidationError, match="sha256"):
        DataFile(path="list.txt", sha256=sha256)


@pytest.mark.parametrize("path", ["", ".", "a\0b"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="names no file"):
        DataFile(path=path, sha256=SHA)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://a.example/b", "data:,x", "/etc/passwd"]
)
def test_an_address_outside_the_web_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"not an http\(s\) address"):
        DataFile(path="a.txt", sha256=SHA, url=url)
