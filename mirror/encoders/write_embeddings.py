"""Writing of embeddings: `.parquet` for texts of any number, `.npy` for few.

Texts are encoded in parts.  The parts of an unfinished `.parquet` file are kept in a hidden folder
next to it; the next try encodes only those that are missing, or whose texts differ.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mirror.atomic_write import atomic_file
from mirror.config_base import Precision
from mirror.documents import TextRow
from mirror.encoders.embeddings_file import (
    ENDINGS,
    EmbeddingsOrigin,
    embeddings_schema,
    record_path,
    round_vectors,
    text_digest,
    vector_columns,
)
from mirror.errors import InputError, StoreError
from mirror.hardware import release_memory
from mirror.locks import exclusive_lock
from mirror.paths import check_output
from mirror.progress import OnProgress, ProgressEvent, no_progress

if TYPE_CHECKING:
    from mirror.encoders.cluster_encoder import EncodeParts

TEXTS_PER_PART = 4_096
"""Texts encoded between two reports of progress."""
CHARACTERS_PER_PART = 1 << 21
"""A part ends with the text that reaches this, which bounds memory."""
BROKEN = "\ufffd"
"""What undecodable bytes become."""

Part = Sequence[TextRow]


class FixedSizeEncoder(Protocol):
    """An encoder whose vectors all have the same dimension."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors (texts, dimension), float32."""
        ...


@dataclass
class EncodedCounts:
    """Counts of the rows of a file of embeddings."""

    texts: int = 0
    reused: int = 0
    """Texts whose vectors an earlier try left."""
    truncated: int = 0
    broken: int = 0
    """Texts with U+FFFD."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows without a vector, by fault."""


def check_embeddings_path(path: Path, precision: str = "float32") -> None:
    """Check that embeddings can be written to a path, before texts are encoded.

    Raises:
        InputError: the path's ending is unknown, does not go with the precision, or its folder is
            missing.
    """
    check_output(path, ENDINGS)
    if path.suffix == ".npy" and precision == "int8":
        raise InputError(f"{path} has no place for the scales of int8: name a .parquet file")


def write_embeddings(
    encoder: FixedSizeEncoder,
    rows: Iterable[TextRow],
    path: Path,
    origin: EmbeddingsOrigin,
    on_progress: OnProgress = no_progress,
    *,
    keep_text: bool = False,
    count_truncated: Callable[[Sequence[str]], int] = lambda texts: 0,
    encode_parts: EncodeParts | None = None,
) -> EncodedCounts:
    """Write the texts' vectors in order.

    Args:
        encoder: gives the vectors.
        rows: read once; those with a fault are left out of a table.
        path: a `.parquet` file, see `embeddings_schema`; or a `.npy` file (texts, dimension).
        origin: written into the table, or into a JSON file next to the matrix.
        on_progress: called after each part.
        keep_text: whether a table has the texts.
        count_truncated: returns how many texts the encoder does not read to the end.
        encode_parts: encodes the parts of a table elsewhere; None encodes them here.

    Raises:
        InputError: there is no text, or a row of a matrix has a fault.
        BaseModelError: a vector is not finite, or too large for the precision.
        StoreError: the file cannot be written, or another process writes it.
    """
    counts, is_matrix = EncodedCounts(), path.suffix == ".npy"
    parts = _not_empty(_parts(rows, counts, strict=is_matrix), counts)
    parts = _counted(parts, counts, count_truncated, on_progress)
    encode = encode_parts or partial(_encode_here, encoder)
    try:
        if is_matrix:
            _write_matrix(encoder, parts, path, origin)
        else:
            counts.reused = _write_table(encode, parts, path, origin, keep_text)
    except OSError as error:
        raise _not_written(path, error) from error
    return counts


def _not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({error.strerror or error}): free some space, or name another "
        "file"
    )


def _parts(rows: Iterable[TextRow], counts: EncodedCounts, *, strict: bool) -> Iterator[Part]:
    """Yield rows in parts that depend on the texts only."""
    part: list[TextRow] = []
    characters = 0
    for row in rows:
        if row.fault and strict:
            raise InputError(
                f"{row.id} has no text that can be encoded ({row.fault}), and rows of a .npy file "
                "have no ids: correct it, or name a .parquet file, which leaves it out"
            )
        if row.fault:
            counts.left_out[row.fault] += 1
            continue
        part.append(row)
        characters += len(row.text)
        if len(part) == TEXTS_PER_PART or characters >= CHARACTERS_PER_PART:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _not_empty(parts: Iterator[Part], counts: EncodedCounts) -> Iterator[Part]:
    """Return the parts, or raise InputError before anything is written if there are none."""
    if (first := next(parts, None)) is None:
        faults = ", ".join(f"{count} {fault}" for fault, count in counts.left_out.items())
        raise InputError(f"there is no text to encode ({faults or 'no rows'}): name other files")
    return chain([first], parts)


def _counted(
    parts: Iterator[Part],
    counts: EncodedCounts,
    count_truncated: Callable[[Sequence[str]], int],
    on_progress: OnProgress,
) -> Iterator[Part]:
    for part in parts:
        yield part
        texts = [row.text for row in part]
        counts.texts += len(texts)
        counts.truncated += count_truncated(texts)
        counts.broken += sum(BROKEN in text for text in texts)
        on_progress(ProgressEvent("encode", counts.texts, None, "texts"))
        release_memory()


def _write_matrix(
    encoder: FixedSizeEncoder, parts: Iterator[Part], path: Path, origin: EmbeddingsOrigin
) -> None:
    kind = np.dtype(origin.precision).newbyteorder("<")
    header = {"descr": kind.str, "fortran_order": False, "shape": (0, origin.dimension)}
    record = record_path(path)
    with atomic_file(path) as unfinished, unfinished.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        count = 0
        for part in parts:
            vectors = encoder.encode([row.text for row in part])
            rounded, _ = round_vectors(vectors, origin.precision)
            file.write(np.ascontiguousarray(rounded, dtype=kind).tobytes())
            count += len(part)
        file.seek(0)
        # numpy pads headers, so that the number of rows can grow.
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count, origin.dimension)})
        record.unlink(missing_ok=True)
    with atomic_file(record) as unfinished:
        unfinished.write_text(json.dumps(asdict(origin), indent=1) + "\n", encoding="utf-8")


def _encode_here(
    encoder: FixedSizeEncoder, parts: Iterable[Sequence[str] | None]
) -> Iterator[NDArray[np.float32] | None]:
    return (None if texts is None else encoder.encode(texts) for texts in parts)


def _write_table(
    encode: EncodeParts,
    parts: Iterator[Part],
    path: Path,
    origin: EmbeddingsOrigin,
    keep_text: bool,
) -> int:
    """Write a table; return how many texts an earlier try has encoded."""
    schema = embeddings_schema(origin, with_text=keep_text)
    folder = path.with_name(f".{path.name}.parts")
    folder.mkdir(exist_ok=True)
    whole = folder / "whole.parquet"
    reused = 0
    jobs: deque[_PartFile] = deque()

    def missing() -> Iterator[Sequence[str] | None]:
        for number, part in enumerate(parts):
            jobs.append(_PartFile.of(part, folder / f"{number:08}.parquet", schema))
            yield None if jobs[-1].saved else [row.text for row in part]

    with (
        exclusive_lock(folder / "lock", wait=False),
        atomic_file(whole) as unfinished,
        _writer(unfinished, schema) as writer,
    ):
        for vectors in encode(missing()):
            job = jobs.popleft()
            reused += job.saved.num_rows if job.saved else 0
            writer.write_table(job.saved or job.save(vectors, origin.precision, schema))
    whole.replace(path)
    shutil.rmtree(folder, ignore_errors=True)
    return reused


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Few of the numbers of a float column are equal; int8 is stored in four bytes otherwise.
    coded = ["vector.list.element"] if "scale" in schema.names else False
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=coded)


@dataclass(frozen=True)
class _PartFile:
    """A part's file, its columns but for the vectors, and the table if an earlier try wrote it."""

    path: Path
    columns: dict[str, pa.Array]
    saved: pa.Table | None

    @classmethod
    def of(cls, part: Part, path: Path, schema: pa.Schema) -> _PartFile:
        texts = [row.text for row in part]
        columns = {
            "id": pa.array([row.id for row in part], pa.string()),
            "text_sha256": pa.array([text_digest(text) for text in texts], pa.string()),
            "text": pa.array(texts, pa.string()),
        }
        return cls(path, columns, _saved_part(path, schema, columns))

    def save(
        self, vectors: NDArray[np.float32] | None, precision: Precision, schema: pa.Schema
    ) -> pa.Table:
        assert vectors is not None  # noqa: S101  # there is no saved table
        columns = self.columns | vector_columns(vectors, precision)
        table = pa.table([columns[name] for name in schema.names], schema)
        with atomic_file(self.path) as unfinished, _writer(unfinished, schema) as writer:
            writer.write_table(table)
        return table


def _saved_part(path: Path, schema: pa.Schema, columns: dict[str, pa.Array]) -> pa.Table | None:
    """Return a part that an earlier try wrote for the same texts and encoder, else None."""
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowInvalid):
        return None
    if not table.schema.equals(schema, check_metadata=True):
        return None
    same = all(table[name].combine_chunks().equals(columns[name]) for name in ("id", "text_sha256"))
    return table if same else None
