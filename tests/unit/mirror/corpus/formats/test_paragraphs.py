"""Paragraphs of text whose lines are cut at a width."""

from __future__ import annotations

from pathlib import Path

from mirror.corpus.input_files import search_files
from mirror.corpus.sources.files import FilesSection, read_files


def test_a_blank_line_ends_a_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "novel.txt"
    path.write_text("One boat\nfloats.\n\n \n  Two boats\r\nsink.\n\n")
    section = FilesSection(source="files", paths=(str(path),), format="paragraphs")
    files = search_files(section.paths, section.format).files
    assert [each.text for each in read_files(files, section)] == [
        "One boat floats.",
        "Two boats sink.",
    ]
