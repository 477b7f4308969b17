"""Duplicate detection: exact by hashes on disk, near duplicates by MinHash."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = 256
BUFFER_ROWS = 1 << 18
REPEATED = "repeated"
NGRAM = 3
PERMUTATIONS = 128

_ENTRY = np.dtype([("high", ">u8"), ("low", ">u8"), ("row", ">i8")])


class DuplicateFinder:
    """Exact duplicates of earlier rows, by BLAKE2b.

    Rows are written to one of 256 files by their hash; one file at a time is then sorted in memory.
    """

    def __init__(self, folder: Path) -> None:
        """Make `folder`, which must not exist."""
        self.folder = folder
        folder.mkdir(parents=True)
        self._digests: list[bytes] = []
        self._rows: list[NDArray[np.int64]] = []
        self._pending = 0

    def add(self, rows: NDArray[np.int64], digests: bytes) -> None:
        """Add rows, in rising order, with the digests of their texts (16 bytes each)."""
        self._digests.append(digests)
        self._rows.append(rows)
        self._pending += len(rows)
        if self._pending >= BUFFER_ROWS:
            self._flush()

    def mark_repeated(self, rows: int) -> None:
        """Write for each of `rows` rows whether an earlier row has the same text."""
        self._flush()
        flags = np.memmap(self.folder / REPEATED, np.bool_, "w+", shape=(max(rows, 1),))
        for part in sorted(self.folder.glob("part-*")):
            entries = np.fromfile(part, _ENTRY)
            entries = entries[np.lexsort((entries["row"], entries["low"], entries["high"]))]
            same = (entries["high"][1:] == entries["high"][:-1]) & (
                entries["low"][1:] == entries["low"][:-1]
            )
            flags[entries["row"][1:][same]] = True
        flags.flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        entries = np.empty(self._pending, _ENTRY)
        digests = np.frombuffer(b"".join(self._digests), ">u8").reshape(-1, 2)
        entries["high"], entries["low"] = digests[:, 0], digests[:, 1]
        entries["row"] = np.concatenate(self._rows)
        part_of = (entries["high"] >> np.uint64(56)).astype(np.int64)
        order = np.argsort(part_of, kind="stable")
        bounds = np.searchsorted(part_of[order], np.arange(PARTS + 1))
        for part, (start, end) in enumerate(pairwise(bounds)):
            if start < end:
                with (self.folder / f"part-{part:03}").open("ab") as file:
                    file.write(entries[order[start:end]].tobytes())
        self._digests.clear()
        self._rows.clear()
        self._pending = 0


def read_repeated(folder: Path) -> NDArray[np.bool_]:
    """Return the flags that `mark_repeated` wrote, memory-mapped."""
    return np.memmap(folder / REPEATED, np.bool_, "r")


class NearDuplicateFinder:
    """Near duplicates of earlier strings, by MinHash over character 3-grams (Broder 1997).

    The signatures stay in memory: about 5 kB a string.
    """

    def __init__(self, similarity: float) -> None:
        """Load datasketch, which needs the extra `dedup`."""
        import datasketch

        self.similarity = similarity
        self._library: Any = datasketch
        self._index: Any = datasketch.MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS)
        self._hashes: list[Any] = []

    def is_new(self, text: str) -> bool:
        """Return whether no earlier string is similar; a new string is added."""
        signature = self._library.MinHash(num_perm=PERMUTATIONS, seed=1)
        signature.update_batch(sorted(gram.encode() for gram in ngrams(text)))
        for row in self._index.query(signature):
            if self._hashes[row].jaccard(signature) >= self.similarity:
                return False
        self._index.insert(len(self._hashes), signature)
        self._hashes.append(self._library.LeanMinHash(signature))
        return True


def ngrams(text: str) -> set[str]:
    """Return a text's 3-grams without regard to case; a shorter text is one."""
    folded = text.casefold()
    starts = range(len(folded) - NGRAM + 1)
    return {folded[start : start + NGRAM] for start in starts} or {folded}
