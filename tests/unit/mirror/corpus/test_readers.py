"""Readers of JSONL, CSV and TSV."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from pyarrow import fs

from mirror.corpus.input_files import InputFile
from mirror.corpus.readers import read_file
from mirror.corpus.sources.files import FilesSection, check_files


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("jsonl", '{"text": "one oar"}\n'),
        ("csv", "text,id\none oar,1\n"),
        ("csv", '"text",id\n"one oar",1\n'),
        ("tsv", "text\tid\none oar\t1\n"),
    ],
)
def test_files_with_a_byte_order_mark_are_checked_and_read(
    tmp_path: Path, kind: str, content: str
) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(codecs.BOM_UTF8 + content.encode())
    file = InputFile(fs.LocalFileSystem(), str(path), path.name, kind, None)
    section = FilesSection(source="files", paths=(str(path),))
    check_files([file], section)
    assert [document.text for document in read_file(file, section)] == ["one oar"]
