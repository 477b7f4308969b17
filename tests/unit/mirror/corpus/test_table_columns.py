"""Choice of a table's columns of text and titles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus.input_files import search_files
from mirror.corpus.table_columns import choose_columns
from mirror.errors import CorpusError

TEXT = "the old printer stops after the update number {}"


def choose(folder: Path, rows: list[dict[str, Any]], level: Any = None) -> dict[str, str]:
    path = folder / "table.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    [file] = search_files((str(path),)).files
    return choose_columns(file, "utf-8", level, None, None)


def test_the_only_column_of_text_is_chosen(tmp_path: Path) -> None:
    rows = [{"id": n, "day": "2026-01-02", "kind": "fault", "b": TEXT.format(n)} for n in range(50)]
    assert choose(tmp_path, rows) == {"text_column": "b"}


def test_a_column_called_text_needs_no_choice(tmp_path: Path) -> None:
    rows = [{"text": TEXT.format(n), "reply": TEXT.format(-n)} for n in range(50)]
    assert choose(tmp_path, rows) == {"text_column": "text"}


def test_a_subject_is_the_title(tmp_path: Path) -> None:
    rows = [{"Subject": TEXT.format(n), "body": TEXT.format(-n)} for n in range(50)]
    assert choose(tmp_path, rows) == {"text_column": "body", "title_column": "Subject"}


def test_text_without_spaces_is_text(tmp_path: Path) -> None:
    rows = [{"id": str(n), "a": f"古い列車は今日{n}番線に止まっています"} for n in range(50)]
    assert choose(tmp_path, rows) == {"text_column": "a"}


def test_short_texts_are_chosen_for_names_only(tmp_path: Path) -> None:
    rows = [{"id": n, "name": f"part {n}"} for n in range(50)]
    assert choose(tmp_path, rows, "name") == {"text_column": "name"}
    with pytest.raises(
        CorpusError, match=r"no column .* has text: it has id \(numbers\), name \(short labels\)"
    ):
        choose(tmp_path, rows)


def test_columns_of_parquet_are_read(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(50)), "body": [TEXT.format(n) for n in range(50)]})
    pq.write_table(table, tmp_path / "a.parquet")
    [file] = search_files((str(tmp_path),)).files
    assert choose_columns(file, "utf-8", None, None, None) == {"text_column": "body"}


def test_semicolons_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;body\n" + "".join(f"{n};{TEXT}\n" for n in range(9)))
    [file] = search_files((str(tmp_path),)).files
    with pytest.raises(CorpusError, match="separated by semicolons"):
        choose_columns(file, "utf-8", None, None, None)
