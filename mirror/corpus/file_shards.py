"""Shards of input files, for the workers of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mirror.corpus.input_files import InputFile

log = logging.getLogger(__name__)

SHARD_BYTES = 32 << 20
MOST_SHARD_BYTES = 256 << 20


def divide_files(files: Sequence[InputFile]) -> list[list[InputFile]]:
    """Return neighbouring files in shards of about `SHARD_BYTES`.

    A worker holds what it makes of a shard in memory, so there are none if a file is larger than
    `MOST_SHARD_BYTES`, with a warning that names it.
    """
    shards: list[list[InputFile]] = []
    size = SHARD_BYTES
    for file in files:
        own = int(file.filesystem.get_file_info(file.path).size or 0)
        if own > MOST_SHARD_BYTES:
            log.warning(
                "%s has over %d MiB: split it, or the cluster reads no file of this corpus",
                file.path,
                MOST_SHARD_BYTES >> 20,
            )
            return []
        if size + own > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(file)
        size += own
    return shards
