"""Embeddings of a file's lines: one for each line, in order; no incomplete file is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mirror.encoders import write_embeddings as module
from mirror.encoders.write_embeddings import check_embeddings_path, read_lines, write_embeddings
from mirror.errors import InputError
from mirror.progress import ProgressEvent


class LengthEncoder:
    """Encodes a text as its length and its first character's code point."""

    dimension = 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(text), ord(text[:1] or "\0")] for text in texts], np.float32)


class InterruptedEncoder(LengthEncoder):
    """Is interrupted at the second part."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if "c" in texts:
            raise KeyboardInterrupt
        return super().encode(texts)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXTS_PER_PART", 2)


TEXTS = ["a", "bb", "c", "", "eeeee"]


def test_a_matrix_has_a_row_for_each_text(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    assert write_embeddings(LengthEncoder(), TEXTS, path) == (5, 2)
    vectors = np.load(path)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 97], [2, 98], [1, 99], [0, 0], [5, 101]]


def test_a_table_has_the_columns_text_and_vector(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    write_embeddings(LengthEncoder(), TEXTS, path)
    table = pq.read_table(path)
    assert table["text"].to_pylist() == TEXTS
    assert table["vector"].to_pylist()[1] == [2.0, 98.0]


def test_progress_is_reported_after_each_part(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    write_embeddings(LengthEncoder(), TEXTS, tmp_path / "vectors.npy", events.append)
    assert [(step.done, step.total) for step in events] == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("ending", [".npy", ".parquet"])
def test_an_interrupted_encoding_leaves_no_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"vectors{ending}"
    with pytest.raises(KeyboardInterrupt):
        write_embeddings(InterruptedEncoder(), TEXTS, path)
    assert list(tmp_path.iterdir()) == []


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
    assert read_lines(path) == texts


def test_the_error_of_another_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"one\ntwo\ncaf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8 in line 3"):
        read_lines(path)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "missing")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="is empty"):
        read_lines(tmp_path / "empty")


@pytest.mark.parametrize("name", ["vectors.csv", "vectors", "no/such/folder/vectors.npy"])
def test_invalid_output_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        check_embeddings_path(tmp_path / name)
