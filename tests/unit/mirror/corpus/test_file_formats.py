"""The registry of file formats, and corpora made of files of several formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirror.corpus import file_formats
from mirror.corpus.file_formats import FileFormat, format_by_ending, known_formats, register_format
from mirror.corpus.ingest import corpus_stage, ingest_corpus
from mirror.corpus.input_files import InputFile
from mirror.corpus.sources.files import FileFormatSection
from mirror.documents import Document
from mirror.errors import CorpusError
from mirror.recipe import Recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe


class Upper(FileFormat):
    name = "upper"
    endings = (".up",)
    libraries = ("regex",)

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        yield Document(Path(file.path).read_text().upper(), file.name)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    return folder


def recipe(folder: Path, **corpus: object) -> Recipe:
    return make_recipe(
        corpus={"source": "files", "paths": [str(folder)], "check_language": False, **corpus}
    )


def test_endings_name_formats_whatever_their_case_and_compression() -> None:
    names = ("a.md", "a.HTM", "a.rst.gz", "a.mbox.zst", "a.eml", "a.txt", "a.dat")
    found = [format_by_ending(name) for name in names]
    assert found == ["markdown", "html", "rst", "mbox", "mail", "text", ""]


def test_a_format_registered_by_another_package_is_read(
    pages: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_formats, "_formats", dict(known_formats()))
    register_format(Upper())
    (pages / "a.up").write_text("a boat\n")
    (pages / "b.txt").write_text("an oar\n")
    record = ingest_corpus(recipe(pages), store)
    assert pq.read_table(record.path / "sentences")["text"].to_pylist() == ["A BOAT", "an oar"]


def test_code_and_libraries_of_the_formats_read_are_part_of_the_key(pages: Path) -> None:
    (pages / "a.txt").write_text("an oar\n")
    lines = corpus_stage(recipe(pages))
    (pages / "a.md").write_text("an oar\n")
    pages = corpus_stage(recipe(pages))
    assert "markdown-it-py" not in lines.libraries
    assert "markdown-it-py" in pages.libraries
    assert lines.section["source_code"] != pages.section["source_code"]


def test_sections_give_titles_and_what_has_no_text_is_counted(pages: Path, store: Store) -> None:
    (pages / "a.md").write_text("# Boats\n\nOne oar. Two oars.\n\n## Code\n\n    row()\n")
    (pages / "b.md").write_text("")
    (pages / "c.html").write_bytes(b"<h1>Sails</h1><p>A sail. Br\xfccke.</p>")
    (pages / "d.rst").write_text("Masts\n=====\n\nA mast.\n")
    (pages / "e.eml").write_text("Subject: Re: Ropes\n\nA rope.\n")
    record = ingest_corpus(recipe(pages), store)
    rows = pq.read_table(record.path / "titles").to_pylist()
    assert [(row["title"], row["body"]) for row in rows] == [
        ("Boats", "One oar. Two oars."),
        ("Masts", "A mast."),
        ("Ropes", "A rope."),
    ]
    texts = pq.read_table(record.path / "sentences")["text"].to_pylist()
    assert texts == ["One oar.", "Two oars.", "A sail.", "A mast.", "A rope."]
    assert record.counts["rejected"] == {"broken characters": 1, "empty": 2}


def test_markdown_in_another_encoding_is_refused_like_text(pages: Path, store: Store) -> None:
    (pages / "a.md").write_bytes(b"A br\xfccke.\n")
    with pytest.raises(CorpusError, match=r"a\.md is not in utf-8.*corpus\.encoding"):
        ingest_corpus(recipe(pages), store)
    ingest_corpus(recipe(pages, encoding="latin-1"), store)
