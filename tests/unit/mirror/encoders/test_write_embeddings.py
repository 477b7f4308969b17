"""Vectors of lines: one a line, in order, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mirror.encoders import write_embeddings
from mirror.encoders.write_embeddings import check_place, read_lines, write_vectors
from mirror.errors import InputError
from mirror.progress import ProgressEvent


class Counter:
    """Gives each text its length and its first mark's number."""

    dimension = 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(text), ord(text[:1] or "\0")] for text in texts], np.float32)


class Breaks(Counter):
    """Fails at the second part."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if "c" in texts:
            raise KeyboardInterrupt
        return super().encode(texts)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_embeddings, "AT_ONCE", 2)


TEXTS = ["a", "bb", "c", "", "eeeee"]


def test_a_matrix_holds_a_row_for_each_text(tmp_path: Path) -> None:
    place = tmp_path / "vectors.npy"
    assert write_vectors(Counter(), TEXTS, place) == (5, 2)
    found = np.load(place)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 97], [2, 98], [1, 99], [0, 0], [5, 101]]


def test_a_table_holds_texts_beside_their_vectors(tmp_path: Path) -> None:
    place = tmp_path / "vectors.parquet"
    write_vectors(Counter(), TEXTS, place)
    table = pq.read_table(place)
    assert table["text"].to_pylist() == TEXTS
    assert table["vector"].to_pylist()[1] == [2.0, 98.0]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[ProgressEvent] = []
    write_vectors(Counter(), TEXTS, tmp_path / "vectors.npy", told.append)
    assert [(step.done, step.total) for step in told] == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("ending", [".npy", ".parquet"])
def test_stopping_leaves_nothing_half_written(tmp_path: Path, ending: str) -> None:
    place = tmp_path / f"vectors{ending}"
    with pytest.raises(KeyboardInterrupt):
        write_vectors(Breaks(), TEXTS, place)
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
def test_only_line_feeds_part_texts(tmp_path: Path, data: bytes, texts: list[str]) -> None:
    path = tmp_path / "texts"
    path.write_bytes(data)
    assert read_lines(path) == texts


def test_other_encodings_are_refused_with_their_line(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("place", ["vectors.csv", "vectors", "no/such/folder/vectors.npy"])
def test_places_that_will_not_do_are_refused_first(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError):
        check_place(tmp_path / place)
