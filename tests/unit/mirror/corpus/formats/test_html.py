"""Web pages: their encoding."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from pyarrow import fs

from mirror.corpus.formats.html import Html
from mirror.corpus.input_files import InputFile
from mirror.corpus.sources.files import FilesSection
from mirror.documents import OVERSIZED, Document


def read(path: Path, raw: bytes, encoding: str = "utf-8") -> list[Document]:
    path.write_bytes(raw)
    file = InputFile(fs.LocalFileSystem(), str(path), path.name, "html", None)
    section = FilesSection(source="files", paths=(str(path),), encoding=encoding)
    return list(Html().read(file, section))


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"<meta charset='latin-1'><p>Br\xfccke</p>", "utf-8"),
        (b"<meta http-equiv=a content='text/html; charset=cp1252'><p>Br\xfccke</p>", "utf-8"),
        (b"<meta charset='no-such-encoding'><p>Br\xfccke</p>", "latin-1"),
        (b"<p>Br\xfccke</p>", "latin-1"),
        (codecs.BOM_UTF8 + "<p>Brücke</p>".encode(), "latin-1"),
        (codecs.BOM_UTF16_LE + "<p>Brücke</p>".encode("utf-16-le"), "utf-8"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_states(
    tmp_path: Path, raw: bytes, encoding: str
) -> None:
    assert [document.text for document in read(tmp_path / "a.html", raw, encoding)] == ["Brücke"]


def test_bytes_in_another_encoding_are_marked_as_broken(tmp_path: Path) -> None:
    [document] = read(tmp_path / "a.html", b"<h1>Boats</h1><p>Br\xfccke.</p><p>A boat.</p>")
    assert (document.text, document.title) == ("Br\ufffdcke.\nA boat.", "Boats")


def test_a_page_above_the_limit_has_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.corpus.text_lines.MAX_BYTES", 20)
    [document] = read(tmp_path / "a.html", b"<p>A boat that is long.</p>")
    assert document == Document("a.html", "a.html", fault=OVERSIZED)
