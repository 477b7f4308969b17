"""Files that are no text: PDF, Word, pictures, archives (case c11 of issue 14)."""

from __future__ import annotations

import io
import logging
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mirror.corpus.file_kinds import count_endings
from mirror.corpus.ingest import ingest_corpus
from mirror.corpus.input_files import search_files
from mirror.corpus.labelled_pairs import read_pairs
from mirror.corpus.sources import check_sources, read_documents
from mirror.errors import CorpusError
from mirror.log_once import warn_once
from mirror.recipe import PairsSection, Recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.case("c11")

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
READ = "formats that are read: .*text \\(\\.txt \\.text\\)"


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "x")
    return content.getvalue()


def recipe(path: Path, **corpus: Any) -> Recipe:
    section = {"source": "files", "paths": [str(path)], "check_language": False, **corpus}
    return make_recipe(corpus=section, tuning={"batch_size": 2})


def refusal(path: Path, **corpus: str) -> str:
    with pytest.raises(CorpusError) as error:
        check_sources(recipe(path, **corpus))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("b.pdf", PDF, r"is a PDF, which is not read: convert it to text"),
        ("c.docx", zipped("word/document.xml"), r"is a Word document, .* save it as text"),
        ("d.xlsx", zipped("xl/workbook.xml"), r"is a spreadsheet, .* save it as CSV"),
        ("e.zip", zipped("a.txt"), r"is a zip archive, .* unpack it"),
        ("f.tar.gz", b"\x1f\x8b", r"is an archive, .* unpack it"),
        ("g.png", PNG, r"is a picture, which is not read"),
        ("h.json", b"[]", r"is JSON, .* one object a line"),
        ("without-ending", PDF, r"is a PDF"),
        ("i.data", zipped("word/document.xml"), r"is a Word document"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_the_formats_that_are_read(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert name in message
    with pytest.raises(CorpusError, match=f"{kind}.*{READ}"):
        search_files((str(tmp_path / name),))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PDF, "is a PDF"),
        (PNG, "is a picture"),
        (zipped("word/document.xml"), "is a Word document"),
        (b"\x1f\x8b\x08\x00\x00", "is compressed, which is not read: end its name in .gz"),
        (b"{\\rtf1 a boat}", "is a rich text file"),
        (b"\n<!DOCTYPE html><html><p>A boat.</p>", "is HTML with another ending, .* to 'html'"),
        (b"<?xml version='1.0'?><text>A boat.</text>", "is XML"),
    ],
)
def test_a_file_under_another_ending_is_named_by_its_bytes(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert re.search(kind, refusal(tmp_path / "a.txt"))
    (tmp_path / "b.dat").write_bytes(content)
    assert re.search(kind, refusal(tmp_path / "b.dat", format="text"))


def test_text_that_begins_like_a_program_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("MZ is a mark, BM another, and PK too.\n")
    check_sources(recipe(tmp_path / "a.txt"))


def test_an_unknown_ending_of_text_may_be_given_a_format(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("one oar\n")
    assert "set corpus.format to one of" in refusal(tmp_path / "a.log")
    by_format = recipe(tmp_path / "a.log", format="text")
    check_sources(by_format)
    assert [document.text for document in read_documents(by_format)] == ["one oar"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file of text, and others."""
    path = tmp_path / "mixed"
    (path / "pictures").mkdir(parents=True)
    (path / "a.txt").write_text("One oar.\nTwo oars.\nA red boat.\n")
    (path / "b.pdf").write_bytes(PDF)
    (path / "c.docx").write_bytes(zipped("word/document.xml"))
    for number in range(3):
        (path / "pictures" / f"{number}.png").write_bytes(PNG)
    (path / ".hidden.pdf").write_bytes(PDF)
    (path / "_SUCCESS").touch()
    return path


@pytest.mark.parametrize("pattern", ["", "/**"])
def test_files_left_out_of_a_folder_are_counted_and_named(
    folder: Path, store: Store, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        record = ingest_corpus(recipe(Path(f"{folder}{pattern}")), store)
    assert record.counts["files_left_out"] == {".png": 3, ".docx": 1, ".pdf": 1}
    [warning] = [each.getMessage() for each in caplog.records if "left out" in each.getMessage()]
    assert (
        "5 files are left out (3 .png, 1 .docx, 1 .pdf): b.pdf, c.docx, pictures/0.png" in warning
    )
    assert "and 2 more; formats that are read:" in warning


def test_a_folder_without_text_says_what_it_has(folder: Path) -> None:
    (folder / "a.txt").unlink()
    left_out = r"5 files are left out \(3 \.png, 1 \.docx, 1 \.pdf\): b\.pdf"
    assert re.search(f"no text at .*{left_out}.*{READ}.*\\.parquet", refusal(folder))


def test_files_left_out_of_a_folder_of_pairs_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    (tmp_path / "b.pdf").write_bytes(PDF)
    with pytest.raises(CorpusError, match=r"b\.pdf, .*; files of pairs end in \.tsv") as error:
        read_pairs(PairsSection(paths=(str(tmp_path),)))
    assert "corpus" not in str(error.value)
    (tmp_path / "a.tsv").write_text("first\tsecond\nan oar\ta blade\n")
    assert len(read_pairs(PairsSection(paths=(str(tmp_path),))).pairs) == 1
    assert "1 file is left out (1 .pdf): b.pdf" in caplog.text


def test_endings_are_counted_most_frequent_first() -> None:
    assert count_endings(["a", "b.PDF", "x/c.pdf", "d.png"]) == {
        ".pdf": 2,
        ".png": 1,
        "no ending": 1,
    }


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [
        ("a.jsonl", '[{"text": "A boat."}]', {}, "is one JSON value, not one object a line"),
        ("a.jsonl", '{\n "text": "A boat."\n}', {}, "is one JSON value, not one object a line"),
        ("a.csv", "id;text\n1;A boat.\n", {}, "are separated by ';', not by ',': save it with"),
        ("a.csv", "id\ttext\n1\tA boat.\n", {}, "set corpus.format to 'tsv'"),
        ("a.csv", "text\nA boat.\nA \0 boat.\n", {}, r"is a binary file, .* \(see line 3\)"),
        ("a.txt", "A boat.", {"encoding": "utf-16"}, "no byte order mark, .* 'utf-16-le'"),
    ],
)
def test_tables_and_text_in_another_form_are_refused_with_what_helps(
    tmp_path: Path, name: str, content: str, settings: dict[str, str], message: str
) -> None:
    (tmp_path / name).write_text(content)
    assert re.search(message, refusal(tmp_path / name, **settings))


def test_a_table_whose_column_has_such_a_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\nA boat.\n")
    check_sources(recipe(tmp_path / "a.csv", text_column="a;b"))


def test_linked_folders_are_read_once_and_broken_links_named(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for path in (inner, outer):
        path.mkdir()
        (path / "a.txt").write_text("A boat.\n")
    (outer / "linked").symlink_to(inner)
    (outer / "circle").symlink_to(outer)
    (outer / "gone.txt").symlink_to(tmp_path / "nowhere")
    for path in (str(outer), f"{outer}/**/*.txt"):
        found = search_files((path,))
        assert [file.name for file in found.files] == ["a.txt", "linked/a.txt"]
        assert found.left_out == ("gone.txt",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_refused(folder: Path) -> None:
    (folder / "pictures").chmod(0)
    with pytest.raises(CorpusError, match=r"pictures .* cannot be read \(Permission denied\)"):
        search_files((str(folder),))


def test_empty_files_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.mkdir()
    (path / "a.txt").write_text("One oar.\nTwo oars.\nA red boat.\n")
    (path / "b.csv").write_text("")
    (path / "c.jsonl").write_text("\n")
    record = ingest_corpus(recipe(path), Store(tmp_path / "workspace"))
    assert record.counts["rejected"] == {"empty": 2}


REJECTED = r"all 3 rows of .* are rejected \(3 too short\): lower corpus.min_characters"


def test_a_corpus_that_is_all_rejected_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A red boat\n" * 3)
    with pytest.raises(CorpusError, match=REJECTED):
        ingest_corpus(recipe(tmp_path / "a.txt", min_characters=50), Store(tmp_path / "workspace"))
