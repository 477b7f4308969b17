"""Embeddings of texts: one for each, in order; an interrupted table continues."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mirror.documents import TextRow
from mirror.encoders import write_embeddings as module
from mirror.encoders.embeddings_file import EmbeddingsOrigin
from mirror.encoders.write_embeddings import (
    EncodedCounts,
    FixedSizeEncoder,
    check_embeddings_path,
    write_embeddings,
)
from mirror.errors import InputError, StoreError
from mirror.locks import exclusive_lock
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


class RefusingEncoder(LengthEncoder):
    """Encodes no text of the first part."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert "a" not in texts
        return super().encode(texts)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXTS_PER_PART", 2)


TEXTS = ["a", "bb", "c", "", "eeeee"]
ORIGIN = EmbeddingsOrigin("mirror-en-x", "3", "0123456789abcdef", 2)


def rows(texts: Sequence[str] = TEXTS) -> list[TextRow]:
    return [TextRow(f"t.txt:{number}", text) for number, text in enumerate(texts, 1)]


def write(
    path: Path, encoder: FixedSizeEncoder | None = None, texts: Sequence[str] = TEXTS
) -> EncodedCounts:
    return write_embeddings(encoder or LengthEncoder(), rows(texts), path, ORIGIN)


def test_a_matrix_has_a_row_for_each_text_and_a_record_of_its_encoder(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    assert write(path).texts == 5
    vectors = np.load(path)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 97], [2, 98], [1, 99], [0, 0], [5, 101]]
    assert json.loads((tmp_path / "vectors.npy.json").read_text()) == asdict(ORIGIN)


def test_a_matrix_of_half_precision_is_half_as_large(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    write_embeddings(LengthEncoder(), rows(), path, replace(ORIGIN, precision="float16"))
    assert np.load(path).dtype == np.float16
    with pytest.raises(InputError, match=r"no place for the scales of int8: name a \.parquet"):
        check_embeddings_path(path, "int8")


@pytest.mark.parametrize("keep_text", [False, True])
def test_a_table_has_ids_digests_and_vectors_of_a_fixed_size(
    tmp_path: Path, keep_text: bool
) -> None:
    path = tmp_path / "vectors.parquet"
    write_embeddings(LengthEncoder(), rows(), path, ORIGIN, keep_text=keep_text)
    table = pq.read_table(path)
    assert table["id"].to_pylist() == [f"t.txt:{number}" for number in range(1, 6)]
    assert table["text_sha256"].to_pylist() == [sha256(text.encode()).hexdigest() for text in TEXTS]
    assert table["vector"].to_pylist()[1] == [2.0, 98.0]
    kind = table.schema.field("vector").type
    assert (kind.list_size, kind.value_type) == (2, pa.float32())
    assert ("text" in table.column_names) == keep_text
    if keep_text:
        assert table["text"].to_pylist() == TEXTS


def test_a_table_says_what_made_it(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    write(path)
    assert pq.read_schema(path).metadata == {
        b"mirror.model": b"mirror-en-x",
        b"mirror.version": b"3",
        b"mirror.encoder_digest": b"0123456789abcdef",
        b"mirror.dimension": b"2",
        b"mirror.precision": b"float32",
    }


def test_progress_and_counts_are_of_parts(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    counts = write_embeddings(
        LengthEncoder(),
        rows([*TEXTS, "\ufffd"]),
        tmp_path / "vectors.npy",
        ORIGIN,
        events.append,
        count_truncated=lambda texts: sum(len(text) > 1 for text in texts),
    )
    assert [step.done for step in events] == [2, 4, 6]
    assert (counts.texts, counts.truncated, counts.broken) == (6, 2, 1)


def test_a_part_ends_with_the_text_that_makes_it_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHARACTERS_PER_PART", 5)
    events: list[ProgressEvent] = []
    path = tmp_path / "vectors.parquet"
    texts = ["eeeee", "a", "ffffff", "b", "c", "d"]
    write_embeddings(LengthEncoder(), rows(texts), path, ORIGIN, events.append)
    assert [step.done for step in events] == [1, 3, 5, 6]


def test_rows_with_a_fault_are_left_out_of_a_table_and_refused_in_a_matrix(tmp_path: Path) -> None:
    faulty = [*rows(["a"]), TextRow("t.txt:2", "", "no text"), *rows(["c"])]
    counts = write_embeddings(LengthEncoder(), faulty, tmp_path / "v.parquet", ORIGIN)
    assert (counts.texts, counts.left_out) == (2, {"no text": 1})
    with pytest.raises(InputError, match=r"t\.txt:2 has no text .*name a \.parquet file"):
        write_embeddings(LengthEncoder(), faulty, tmp_path / "v.npy", ORIGIN)
    with pytest.raises(InputError, match=r"no text to encode \(1 no text\)"):
        write_embeddings(LengthEncoder(), faulty[1:2], tmp_path / "empty.parquet", ORIGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_an_interrupted_matrix_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "vectors.npy", InterruptedEncoder())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_table_continues_to_the_same_bytes(tmp_path: Path) -> None:
    path, whole = tmp_path / "vectors.parquet", tmp_path / "whole.parquet"
    write(whole)
    with pytest.raises(KeyboardInterrupt):
        write(path, InterruptedEncoder())
    assert not path.exists()
    assert write(path, RefusingEncoder()).reused == 2
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, whole.name]


@pytest.mark.parametrize("change", ["text", "encoder", "damage"])
def test_a_part_of_other_texts_or_another_encoder_is_made_again(
    tmp_path: Path, change: str
) -> None:
    path, whole = tmp_path / "vectors.parquet", tmp_path / "whole.parquet"
    with pytest.raises(KeyboardInterrupt):
        write(path, InterruptedEncoder())
    origin = replace(ORIGIN, encoder_digest="another") if change == "encoder" else ORIGIN
    changed = rows(["x", *TEXTS[1:]] if change == "text" else TEXTS)
    if change == "damage":
        next((tmp_path / ".vectors.parquet.parts").glob("*.parquet")).write_bytes(b"PAR1")
    assert write_embeddings(LengthEncoder(), changed, path, origin).reused == 0
    write_embeddings(LengthEncoder(), changed, whole, origin)
    assert path.read_bytes() == whole.read_bytes()


def test_two_processes_do_not_write_one_table(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    (folder := tmp_path / ".vectors.parquet.parts").mkdir()
    with (
        exclusive_lock(folder / "lock"),
        pytest.raises(StoreError, match="is held by process"),
    ):
        write(path)


@pytest.mark.parametrize("name", ["vectors.csv", "vectors", "no/such/folder/vectors.npy"])
def test_invalid_output_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        check_embeddings_path(tmp_path / name)
