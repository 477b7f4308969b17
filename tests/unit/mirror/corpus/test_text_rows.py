"""Texts to encode: every format of a corpus, an id for each, and blank lines of text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus.sources.files import FileFormatSection
from mirror.corpus.text_rows import (
    file_rows,
    find_text_files,
    read_utf8_lines,
    recipe_rows,
    stream_rows,
)
from mirror.documents import TextRow
from mirror.errors import CorpusError, InputError
from mirror.recipe import find_recipe


def read(*paths: Path, **settings: Any) -> list[TextRow]:
    section = FileFormatSection(source="files", **settings)
    return list(file_rows(find_text_files([str(path) for path in paths], section), section))


def test_every_line_of_text_is_a_row_blank_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\r\n\n \nfour\u2028still four".encode())
    expected = [("a.txt:1", "one"), ("a.txt:2", ""), ("a.txt:3", " ")]
    assert [row[:2] for row in read(path)] == [*expected, ("a.txt:4", "four\u2028still four")]


def test_columns_give_text_title_and_id(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key,subject,body\n7,Door,It squeaks\n,Lamp,It is off\n")
    (tmp_path / "b.jsonl").write_text('{"key": 8, "subject": "Bed", "body": "Soft"}\nno JSON\n')
    table = {"key": ["9", None], "subject": ["Sink", "Tap"], "body": ["It drips", None]}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")
    rows = read(tmp_path, text_column="body", title_column="subject", source_column="key")
    assert [(row.id, row.text) for row in rows if not row.fault] == [
        ("7", "Door\nIt squeaks"),
        ("a.csv:2", "Lamp\nIt is off"),
        ("8", "Bed\nSoft"),
        ("9", "Sink\nIt drips"),
    ]
    assert [(row.id, row.fault) for row in rows if row.fault] == [
        ("b.jsonl:2", "not JSON"),
        ("c.parquet:2", "no text"),
    ]


def test_a_markdown_file_gives_a_text_for_each_heading(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\nFirst text.\n\n# Two\n\nSecond text.\n")
    rows = read(tmp_path / "a.md")
    assert [row.id for row in rows] == ["a.md:1", "a.md:2"]
    assert "First text." in rows[0].text


def test_files_of_one_name_have_different_ids(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.txt").write_text("one\n")
    ids = [row.id for row in read(tmp_path / "a", tmp_path / "b")]
    assert ids == [f"{tmp_path}/a/t.txt:1", f"{tmp_path}/b/t.txt:1"]


def test_lines_of_a_stream_are_numbered() -> None:
    rows = stream_rows(io.BytesIO("über\n\nzwei".encode("latin-1")), "latin-1")
    assert [row[:2] for row in rows] == [("1", "über"), ("2", ""), ("3", "zwei")]
    with pytest.raises(CorpusError, match="standard input is not in utf-8"):
        list(stream_rows(io.BytesIO(b"\xfc\n"), "utf-8"))
    with pytest.raises(CorpusError, match="is not an encoding"):
        list(stream_rows(io.BytesIO(b"a"), "utf-7000"))


def test_a_recipes_documents_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    path = tmp_path / "own.toml"
    path.write_text(
        'language = "en"\ndomain = "x"\nlevel = "sentence"\n'
        f'[corpus]\nsource = "files"\npaths = ["{tmp_path}/a.txt"]\n'
        '[base]\npath = "models/mirror-mini-en"\n[evaluation]\nbenchmarks = ["stsb"]\n'
        '[registry]\nmodel = "m"\n'
    )
    rows = list(recipe_rows(find_recipe(str(path))))
    assert [row[:2] for row in rows] == [("a.txt:1", "one"), ("a.txt:2", "two")]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\r\ntwo", ["one", "", "two"]),
        (b"\n", [""]),
        (b"\xef\xbb\xbfone", ["one"]),
        ("a\u2028b\x0cc\nd".encode(), ["a\u2028b\x0cc", "d"]),
    ],
)
def test_lines_end_only_at_line_feeds(tmp_path: Path, data: bytes, texts: list[str]) -> None:
    path = tmp_path / "texts"
    path.write_bytes(data)
    assert read_utf8_lines(path) == texts


def test_the_error_of_another_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"one\ntwo\ncaf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8 in line 3"):
        read_utf8_lines(path)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_utf8_lines(tmp_path / "missing")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="is empty"):
        read_utf8_lines(tmp_path / "empty")
