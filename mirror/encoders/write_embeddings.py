"""Vectors of a file's lines, to a file."""

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

AT_ONCE = 4_096
"""Texts encoded between two signs of life."""
ENDINGS = (".npy", ".parquet")


class FixedSizeEncoder(Protocol):
    """An encoder of texts as vectors."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (texts, width)."""
        ...


def check_place(place: Path) -> None:
    """Checks that vectors can be written there, before any are made.

    Raises:
        InputError: the ending is unknown, or the folder is missing.
    """
    check_output(place, ENDINGS)


def read_lines(path: Path | None) -> list[str]:
    """The lines of a file or of standard input, one text each; an empty line is an empty text.

    Raises:
        InputError: it cannot be read, is not UTF-8, or is empty.
    """
    place = str(path or "standard input")
    try:
        data = path.read_bytes() if path else sys.stdin.buffer.read()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{place} cannot be read ({error.strerror}): name a text file") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{place} is not UTF-8 in line {line}: convert it, for example with iconv"
        ) from error
    if not text:
        raise InputError(f"{place} is empty: give it one text a line")
    # Not splitlines, which also breaks at marks that may stand inside a text.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def write_vectors(
    encoder: FixedSizeEncoder,
    texts: Sequence[str],
    place: Path,
    on_progress: OnProgress = no_progress,
) -> tuple[int, int]:
    """Writes the texts' vectors in their order, float32: a matrix, or columns `text` and `vector`.

    Returns:
        Rows and width.

    Raises:
        StoreError: the file cannot be written; nothing half-written is left.
    """
    beside = place.with_name(f".{place.name}.part")
    parts = _encoded(encoder, texts, on_progress)
    try:
        if place.suffix == ".npy":
            _write_matrix(parts, beside, (len(texts), encoder.dimension))
        else:
            _write_table(parts, beside, encoder.dimension)
        beside.replace(place)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({error.strerror or error}): free some space, or name "
            "another place"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return len(texts), encoder.dimension


Part = tuple[Sequence[str], NDArray[np.float32]]


def _encoded(
    encoder: FixedSizeEncoder, texts: Sequence[str], on_progress: OnProgress
) -> Iterator[Part]:
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
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
