"""Files of embeddings: precisions, what made a file, and refusal to mix encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from mirror.documents import TextRow
from mirror.encoders.embeddings_file import (
    PRECISIONS,
    EmbeddingsOrigin,
    Precision,
    StoredEncoder,
    read_embeddings,
    read_origin,
    restore_vectors,
    round_vectors,
    text_digest,
)
from mirror.encoders.write_embeddings import write_embeddings
from mirror.errors import BaseModelError, InputError

ORIGIN = EmbeddingsOrigin("mirror-en-x", "3", "0123456789abcdef", 3)
VECTORS = np.array([[1, -2, 0.5], [0, 0, 0], [1e-3, 2e-3, -3e-3]], np.float32)


class FixedEncoder:
    """Returns `VECTORS`."""

    dimension = 3

    def encode(self, texts: object) -> NDArray[np.float32]:
        return VECTORS


def write(path: Path, precision: Precision = "float32", **changes: str) -> Path:
    rows = [TextRow(f"id {text}", text) for text in "abc"]
    origin = replace(ORIGIN, precision=precision, **changes)
    write_embeddings(FixedEncoder(), rows, path, origin)
    return path


def vectors(largest: float) -> st.SearchStrategy[NDArray[np.float32]]:
    shapes = array_shapes(min_dims=2, max_dims=2, max_side=6)
    numbers = st.floats(-largest, largest, width=32)  # `largest` is a float32
    return arrays(np.float32, shapes, elements=numbers)


@given(vectors(2.0**100))
def test_int8_is_off_by_at_most_half_of_a_vectors_scale(given: NDArray[np.float32]) -> None:
    numbers, scales = round_vectors(given, "int8")
    assert scales is not None and numbers.dtype == np.int8
    error = np.abs(restore_vectors(numbers, scales).astype(np.float64) - given)
    # The scale itself and the product are rounded to float32.
    rounding = 1e-5 * np.abs(given).max(axis=1, keepdims=True) + 1e-40
    assert (error <= 0.5 * scales[:, None].astype(np.float64) + rounding).all()


@given(vectors(65_504))
def test_float16_keeps_eleven_bits(given: NDArray[np.float32]) -> None:
    numbers, scales = round_vectors(given, "float16")
    assert scales is None
    restored = restore_vectors(numbers, scales)
    np.testing.assert_allclose(restored, given, rtol=2**-11, atol=2**-25)


@given(vectors(2.0**100))
def test_what_was_rounded_rounds_to_itself(given: NDArray[np.float32]) -> None:
    numbers, scales = round_vectors(given, "int8")
    again, _ = round_vectors(restore_vectors(numbers, scales), "int8")
    largest = np.abs(numbers).max(axis=1) == 127  # else the scale is below float32's precision
    np.testing.assert_array_equal(again[largest], numbers[largest])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_is_not_stored(precision: Precision, number: float) -> None:
    with pytest.raises(BaseModelError, match="not numbers"):
        round_vectors(np.array([[1, number]], np.float32), precision)


def test_numbers_too_large_for_half_precision_are_refused() -> None:
    with pytest.raises(BaseModelError, match="use int8 or float32"):
        round_vectors(np.array([[1, 70_000]], np.float32), "float16")


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 0), ("float16", 1e-3), ("int8", 1e-2)]
)
def test_a_table_is_read_as_it_was_written(
    tmp_path: Path, precision: Precision, tolerance: float
) -> None:
    read = read_embeddings(write(tmp_path / "v.parquet", precision))
    assert read.origin == replace(ORIGIN, precision=precision)
    assert read.ids == ["id a", "id b", "id c"]
    assert read.digests == [text_digest(text) for text in "abc"]
    np.testing.assert_allclose(read.vectors, VECTORS, atol=tolerance)
    assert not read.vectors[1].any()


def test_int8_is_a_quarter_of_float32(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(2_000, 64)).astype(np.float32)

    class Normal(FixedEncoder):
        dimension = 64

        def encode(self, texts: object) -> NDArray[np.float32]:
            return numbers

    sizes = {}
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}.parquet"
        origin = replace(ORIGIN, dimension=64, precision=precision)
        write_embeddings(Normal(), [TextRow("", "") for _ in numbers], path, origin)
        sizes[precision] = path.stat().st_size / numbers.size
    assert sizes["float32"] < 4.1 and sizes["float16"] < 2.1 and sizes["int8"] < 1.2


def test_files_of_one_encoder_are_read_together(tmp_path: Path) -> None:
    files = (write(tmp_path / "a.parquet"), write(tmp_path / "b.parquet", "int8"))
    read = read_embeddings(*files)
    assert read.vectors.shape == (6, 3) and len(read.ids) == 6


@pytest.mark.parametrize("ending", ["parquet", "npy"])
def test_files_of_different_encoders_are_not_mixed(tmp_path: Path, ending: str) -> None:
    first = write(tmp_path / f"a.{ending}")
    second = write(tmp_path / f"b.{ending}", version="4", encoder_digest="fedcba9876543210")
    with pytest.raises(InputError, match=r"version 3 \(encoder 0123456789ab\).*version 4"):
        read_embeddings(first, second)


def test_a_file_that_does_not_name_its_encoder_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"vector": [[1.0]]}), tmp_path / "a.parquet")
    np.save(tmp_path / "b.npy", VECTORS)
    (tmp_path / "c.parquet").write_text("no table")
    for name in ("a.parquet", "b.npy", "c.parquet", "missing.parquet"):
        with pytest.raises(InputError, match="does not say which encoder made it"):
            read_origin(tmp_path / name)
    with pytest.raises(InputError, match="name one or more"):
        read_embeddings()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged"):
        read_embeddings(path)


def test_stored_vectors_stand_for_an_encoder(tmp_path: Path) -> None:
    encoder = StoredEncoder(read_embeddings(write(tmp_path / "v.parquet")), text_digest)
    np.testing.assert_array_equal(encoder.encode(["c", "a"]), VECTORS[[2, 0]])
