"""Documents sifted on several cores, in order: the same rows on any number of them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

from mirror.corpus.filtering import DocumentFilter, FilteredDocuments
from mirror.documents import Document
from mirror.errors import StoreError
from mirror.hardware import thread_count
from mirror.recipe import Recipe
from mirror.shutdown import exit_with_parent

ALONE = 16_000
"""So many documents are done before processes are worth their start of two seconds."""
MOST_PROCESSES = 4
"""Each takes 200 MB."""
BATCH_DOCUMENTS = 1_024
BATCH_CHARACTERS = 1 << 18
AHEAD = 3
"""Batches that wait for each process."""

_sifter: DocumentFilter | None = None
"""A process's own; nothing in the process that starts the others."""


def sift_documents(recipe: Recipe, documents: Iterable[Document]) -> Iterator[FilteredDocuments]:
    """What becomes of the documents, many at a time, in order.

    Raises:
        StoreError: a process died, as for want of memory.
    """
    rest = iter(documents)
    sifter = DocumentFilter(recipe)
    yield from map(sifter.sift, _batches(islice(rest, ALONE)))
    processes = min(thread_count(), MOST_PROCESSES)
    if processes == 1 or multiprocessing.current_process().daemon:
        yield from map(sifter.sift, _batches(rest))
        return
    for following in islice(rest, 1):
        yield from _sift_apart(recipe, chain([following], rest), processes)


def _sift_apart(
    recipe: Recipe, documents: Iterable[Document], processes: int
) -> Iterator[FilteredDocuments]:
    # Spawned, not forked: Prefect and pyarrow have threads by now, whose locks a fork would copy.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(recipe,)
    )
    waiting: deque[Future[FilteredDocuments]] = deque()
    try:
        for batch in _batches(documents):
            waiting.append(pool.submit(_sift_batch, batch))
            if len(waiting) > AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise StoreError(
            "a process that cleans text died: if for want of memory, give it more, or set "
            "OMP_NUM_THREADS=1 to work in one process; a script of your own that comes here must "
            "do so under `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch, characters = list[Document](), 0
    for document in documents:
        if len(batch) >= BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(document)
        characters += len(document.text)
    if batch:
        yield batch


def _prepare(recipe: Recipe) -> None:
    global _sifter
    exit_with_parent()  # a killed run would leave its processes waiting for work
    _sifter = DocumentFilter(recipe)


def _sift_batch(batch: list[Document]) -> FilteredDocuments:
    assert _sifter is not None  # noqa: S101
    return _sifter.sift(batch)
