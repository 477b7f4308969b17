"""Encoding of parts of texts on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirror.cluster import QUEUED_PARTS, cluster_workers, map_in_order
from mirror.encoders.encoder import Encoder
from mirror.encoders.truncation import LongTextEncoder
from mirror.tuning_config import Pooling

EncodeParts = Callable[[Iterable[Sequence[str] | None]], Iterator[NDArray[np.float32] | None]]
"""Yields the vectors of each part in order; None for None."""
_Task = tuple[str, Pooling, int, Sequence[str] | None]


@contextmanager
def part_encoder(encoder: Encoder, folder: Path) -> Iterator[EncodeParts | None]:
    """Yield a function that encodes on the cluster; None if the environment names none.

    Args:
        encoder: its pooling and length are used.
        folder: the encoder's folder, which the workers read by the same path.

    Raises:
        ServiceError: the cluster does not answer.
    """
    with cluster_workers() as workers:
        if workers is None:
            yield None
            return
        found, settings = workers, encoder.settings

        def encode(parts: Iterable[Sequence[str] | None]) -> Iterator[NDArray[np.float32] | None]:
            tasks = ((str(folder), settings.pooling, settings.max_tokens, part) for part in parts)
            return map_in_order(found, _encode, tasks, QUEUED_PARTS * found.count)

        yield encode


def _encode(task: _Task) -> NDArray[np.float32] | None:
    folder, pooling, max_tokens, texts = task
    return None if texts is None else _load(folder, pooling, max_tokens).encode(texts)


@cache
def _load(folder: str, pooling: Pooling, max_tokens: int) -> LongTextEncoder:
    """Return an encoder that this process loads once."""
    return LongTextEncoder(Encoder.load(Path(folder), pooling, max_tokens))
