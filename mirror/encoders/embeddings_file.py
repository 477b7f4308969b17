"""Files of embeddings: columns, precisions, the encoder that made them, and their reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mirror.config_base import Precision
from mirror.errors import BaseModelError, InputError

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENDINGS = (".npy", ".parquet")
PREFIX = "mirror."
"""Begins the names of the schema's metadata."""
MOST_INT8 = 127
ARROW_TYPES: dict[Precision, pa.DataType] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
}


@dataclass(frozen=True)
class EmbeddingsOrigin:
    """What made a file of embeddings."""

    model: str
    """The registered model's name, or the folder as the user named it."""
    version: str
    """Of the registered model; empty for a folder."""
    encoder_digest: str
    """Digest of weights, configuration, tokenizer and settings: equal ones give equal vectors."""
    dimension: int
    precision: Precision = "float32"


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one encoder."""

    origin: EmbeddingsOrigin
    """Of the first file."""
    vectors: NDArray[np.float32]
    """(texts, dimension)."""
    ids: Sequence[str] = ()
    """One for each vector; none from a .npy file."""
    digests: Sequence[str] = ()
    """`text_digest` of each text; none from a .npy file."""


class VectorSource(Protocol):
    """An encoder of texts."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (texts, dimension)."""
        ...


class RoundedEncoder:
    """An encoder whose vectors are rounded as if they had been stored."""

    def __init__(self, encoder: VectorSource, precision: Precision) -> None:
        self._encoder, self._precision = encoder, precision

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the rounded vectors (texts, dimension), float32."""
        vectors = self._encoder.encode(texts)
        if self._precision == "float32":
            return vectors
        return restore_vectors(*round_vectors(vectors, self._precision))


class StoredEncoder:
    """Stored vectors in place of the encoder that made them."""

    def __init__(self, embeddings: Embeddings, key: Callable[[str], str]) -> None:
        """Index vectors by their texts' digests, which `key` returns of what `encode` gets."""
        self._embeddings, self._key = embeddings, key
        self._rows = {digest: row for row, digest in enumerate(embeddings.digests)}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (texts, dimension); KeyError if one is not stored."""
        return self._embeddings.vectors[[self._rows[self._key(text)] for text in texts]]


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return sha256(text.encode()).hexdigest()


def record_path(matrix: Path) -> Path:
    """Return the path of the JSON file that says what made a .npy file."""
    return matrix.with_name(f"{matrix.name}.json")


def embeddings_schema(origin: EmbeddingsOrigin, *, with_text: bool = False) -> pa.Schema:
    """Return the columns `id`, `text_sha256`, `text` if asked for, `scale` of int8, and `vector`.

    Its metadata has the origin: `mirror.model`, `mirror.version`, `mirror.encoder_digest`,
    `mirror.dimension`, `mirror.precision`.
    """
    columns = [("id", pa.string()), ("text_sha256", pa.string())]
    columns += [("text", pa.string())] if with_text else []
    columns += [("scale", pa.float32())] if origin.precision == "int8" else []
    columns += [("vector", _vector_type(origin.precision, origin.dimension))]
    metadata = {f"{PREFIX}{name}": str(value) for name, value in asdict(origin).items()}
    return pa.schema(columns, metadata)


def vector_columns(vectors: NDArray[np.float32], precision: Precision) -> dict[str, pa.Array]:
    """Return the column `vector` of a file, and `scale` for int8."""
    numbers, scales = round_vectors(vectors, precision)
    flat = pa.array(numbers.reshape(-1), ARROW_TYPES[precision])
    column = pa.FixedSizeListArray.from_arrays(flat, type=_vector_type(precision, vectors.shape[1]))
    scale = {} if scales is None else {"scale": pa.array(scales, pa.float32())}
    return {**scale, "vector": column}


def round_vectors(
    vectors: NDArray[np.float32], precision: Precision
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Return vectors (texts, dimension) in a precision, and for int8 the scale of each vector.

    int8 divides a vector by a 127th of its largest number and rounds: no number is off by more than
    half of its scale, and cosines need no scale.

    Raises:
        BaseModelError: a number is not finite, or too large for float16.
    """
    if not np.isfinite(vectors).all():
        raise BaseModelError("the encoder gives vectors that are not numbers: tune it again")
    if precision == "float32":
        return vectors, None
    if precision == "float16":
        if np.abs(vectors).max(initial=0) > np.finfo(np.float16).max:
            raise BaseModelError(
                "the encoder gives numbers above 65,504, which float16 lacks: use int8 or float32"
            )
        return vectors.astype(np.float16), None
    scales = (np.abs(vectors).max(axis=1, initial=0) / MOST_INT8).astype(np.float32)
    # In float64, because a quotient of tiny numbers may exceed 127 in float32.
    divisors = np.where(scales > 0, scales, 1).astype(np.float64)[:, None]
    rounded = np.rint(vectors / divisors).clip(-MOST_INT8, MOST_INT8)
    return rounded.astype(np.int8), scales


def restore_vectors(
    numbers: NDArray[Any], scales: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return float32 vectors of what `round_vectors` returned."""
    vectors = numbers.astype(np.float32)
    return vectors if scales is None else vectors * scales[:, None]


def read_origin(path: Path) -> EmbeddingsOrigin:
    """Return what made a file of embeddings."""
    try:
        if path.suffix == ".npy":
            return _origin(json.loads(record_path(path).read_text(encoding="utf-8")))
        metadata = pq.read_schema(path).metadata or {}
        return _origin(
            {key.decode().removeprefix(PREFIX): text.decode() for key, text in metadata.items()}
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} does not say which encoder made it ({error}): name a file of `mirror encode`"
        ) from error


def read_embeddings(*paths: Path | str) -> Embeddings:
    """Return the embeddings of files that one encoder made, as float32, in the files' order.

    Args:
        paths: `.parquet` or `.npy` files of `mirror encode`; their precisions may differ.

    Raises:
        InputError: a file is damaged, or two files are of different encoders.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise InputError("no files of embeddings: name one or more")
    origins = [read_origin(path) for path in files]
    for path, origin in zip(files, origins, strict=True):
        check_same_encoder((files[0], origins[0]), (path, origin))
    parts = [_read_file(*each) for each in zip(files, origins, strict=True)]
    return Embeddings(
        origins[0],
        np.concatenate([part.vectors for part in parts]),
        [name for part in parts for name in part.ids],
        [digest for part in parts for digest in part.digests],
    )


def check_same_encoder(
    first: tuple[Path, EmbeddingsOrigin], second: tuple[Path, EmbeddingsOrigin]
) -> None:
    """Raise InputError if two files of embeddings are of different encoders."""
    if first[1].encoder_digest != second[1].encoder_digest:
        raise InputError(
            f"{first[0]} has vectors of {_described(first[1])} and {second[0]} of "
            f"{_described(second[1])}: cosines between them mean nothing; encode the texts of one "
            "of them again"
        )


def _vector_type(precision: Precision, dimension: int) -> pa.DataType:
    # The name that Parquet gives to the numbers of a list.
    return pa.list_(pa.field("element", ARROW_TYPES[precision]), dimension)


def _described(origin: EmbeddingsOrigin) -> str:
    version = f" version {origin.version}" if origin.version else ""
    return f"{origin.model}{version} (encoder {origin.encoder_digest[:12]})"


def _origin(record: Mapping[str, Any]) -> EmbeddingsOrigin:
    values = {field.name: record[field.name] for field in fields(EmbeddingsOrigin)}
    return EmbeddingsOrigin(**{**values, "dimension": int(values["dimension"])})


def _read_file(path: Path, origin: EmbeddingsOrigin) -> Embeddings:
    try:
        if path.suffix == ".npy":
            matrix = np.load(path, allow_pickle=False)
            return Embeddings(origin, restore_vectors(matrix, None))
        table = pq.read_table(path)
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        scales = table["scale"].to_numpy() if "scale" in table.column_names else None
        vectors = restore_vectors(flat.reshape(-1, origin.dimension), scales)
        ids, digests = (table[name].to_pylist() for name in ("id", "text_sha256"))
    except (OSError, ValueError, LookupError) as error:
        raise InputError(f"{path} is damaged ({error}): encode its texts again") from error
    return Embeddings(origin, vectors, ids, digests)
