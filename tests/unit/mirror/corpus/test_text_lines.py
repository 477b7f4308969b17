"""Lines of text files, and byte order marks."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from pyarrow import fs

from mirror.corpus.input_files import InputFile
from mirror.corpus.text_lines import check_head, read_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + "über\nzwei\n".encode())
    file = InputFile(fs.LocalFileSystem(), str(path), "a.txt", "text", None)
    assert check_head(file, encoding) == "über"
    assert [line.text for line in read_lines(file, encoding)] == ["über", "zwei"]
