"""Writing the embeddings of a file's lines to a `.npy` or `.parquet` file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mirror.errors import InputError, StoreError
from mirror.paths import check_output
from mirror.progress import OnProgress, ProgressEvent, no_progress

TEXTS_PER_PART = 4_096
"""Texts encoded between two reports of progress."""
ENDINGS = (".npy", ".parquet")


class FixedSizeEncoder(Protocol):
    """An encoder whose vectors all have the same dimension."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors (texts, dimension), float32."""
        ...


def check_embeddings_path(path: Path) -> None:
    """Check that embeddings can be written to a path, before texts are encoded.

    Raises:
        InputError: the path's ending is unknown, or its folder is missing.
    """
    check_output(path, ENDINGS)


def read_lines(path: Path | None) -> list[str]:
    """Return the lines of a file, or of standard input if `path` is None; a line may be empty.

    Raises:
        InputError: the input cannot be read, is not UTF-8, or is empty.
    """
    source = str(path or "standard input")
    try:
        data = path.read_bytes() if path else sys.stdin.buffer.read()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}): name a text file") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{source} is not UTF-8 in line {line}: convert it, for example with iconv"
        ) from error
    if not text:
        raise InputError(f"{source} is empty: write one text a line")
    # Not splitlines, which also splits at characters that may be part of a text.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def write_embeddings(
    encoder: FixedSizeEncoder,
    texts: Sequence[str],
    path: Path,
    on_progress: OnProgress = no_progress,
) -> tuple[int, int]:
    """Write the texts' vectors in order, float32: a matrix, or columns `text` and `vector`.

    Returns:
        The numbers of rows and of dimensions.

    Raises:
        StoreError: the file cannot be written; no incomplete file is left.
    """
    partial = path.with_name(f".{path.name}.part")
    parts = _encoded(encoder, texts, on_progress)
    try:
        if path.suffix == ".npy":
            _write_matrix(parts, partial, (len(texts), encoder.dimension))
        else:
            _write_table(parts, partial, encoder.dimension)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}): free some space, or name "
            "another file"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return len(texts), encoder.dimension


Part = tuple[Sequence[str], NDArray[np.float32]]


def _encoded(
    encoder: FixedSizeEncoder, texts: Sequence[str], on_progress: OnProgress
) -> Iterator[Part]:
    for start in range(0, len(texts), TEXTS_PER_PART):
        part = texts[start : start + TEXTS_PER_PART]
        yield part, encoder.encode(part)
        on_progress(ProgressEvent("encode", start + len(part), len(texts), "texts"))


def _write_matrix(parts: Iterator[Part], path: Path, shape: tuple[int, int]) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, vectors in parts:
            file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())


def _write_table(parts: Iterator[Part], path: Path, width: int) -> None:
    schema = pa.schema([("text", pa.string()), ("vector", pa.list_(pa.float32(), width))])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for texts, vectors in parts:
            flat = pa.array(vectors.reshape(-1), pa.float32())
            column = pa.FixedSizeListArray.from_arrays(flat, width)
            writer.write_table(pa.table([pa.array(texts, pa.string()), column], schema))
