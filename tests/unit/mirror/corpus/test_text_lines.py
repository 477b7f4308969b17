"""Lines of text files, and byte order marks."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from pyarrow import fs

from mirror.corpus import text_lines
from mirror.corpus.input_files import InputFile
from mirror.corpus.text_lines import check_head, known_encoding, read_lines, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + "über\nzwei\n".encode())
    file = InputFile(fs.LocalFileSystem(), str(path), "a.txt", "text", None)
    assert check_head(file, encoding) == "über"
    assert [line.text for line in read_lines(file, encoding)] == ["über", "zwei"]


def test_a_whole_text_has_line_feeds_and_is_none_above_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(codecs.BOM_UTF8 + "über\r\n\r\nzwei\rdrei".encode())
    file = InputFile(fs.LocalFileSystem(), str(path), "a.md", "markdown", None)
    assert read_text(file, "utf-8") == "über\n\nzwei\ndrei"
    monkeypatch.setattr(text_lines, "MAX_BYTES", 8)
    assert read_text(file, "utf-8") is None


@pytest.mark.parametrize("name", ["no-such-encoding", "hex", "idna", "x\0"])
def test_what_python_cannot_decode_with_is_no_encoding(name: str) -> None:
    assert known_encoding(name, "utf-8") == "utf-8"
    assert known_encoding("cp1252", "utf-8") == "cp1252"
