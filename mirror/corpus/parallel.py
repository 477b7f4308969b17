"""Filtering of documents in several processes: the same rows in order on any number of them.

On a cluster, workers read and filter shards of the source: some of its files each.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any

from mirror.cluster import QUEUED_PARTS, Workers, cluster_workers, map_in_order
from mirror.corpus.filtering import DocumentFilter, FilteredDocuments
from mirror.corpus.sources import read_documents
from mirror.corpus_config import find_source
from mirror.documents import Document
from mirror.errors import StoreError
from mirror.hardware import thread_count
from mirror.recipe import Recipe
from mirror.shutdown import exit_with_parent

SERIAL_DOCUMENTS = 16_000
"""Documents filtered in this process first: starting others takes a second."""
MAX_PROCESSES = 4
"""Each process takes 40 MB."""
BATCH_DOCUMENTS = 1_024
BATCH_CHARACTERS = 1 << 18
QUEUED_BATCHES = 3
"""Batches queued for each process."""

_document_filter: DocumentFilter | None = None
"""The filter of a worker process; None in the main process."""


def filter_source(recipe: Recipe) -> Iterator[FilteredDocuments]:
    """Yield the filtered documents of a recipe's source in order, a batch at a time.

    Raises:
        InputError: the source is missing, unreadable or of another kind.
        ServiceError: a hub, an object store or the cluster does not answer.
        StoreError: a process died, for example from lack of memory.
    """
    with cluster_workers() as workers:
        source = find_source(recipe.corpus.source)
        shards = source.shards(recipe.corpus) if workers else ()
        if workers and len(shards) > 1:
            yield from _filter_on_cluster(workers, recipe, shards)
        else:
            yield from filter_documents(recipe, read_documents(recipe))


def _filter_on_cluster(
    workers: Workers, recipe: Recipe, shards: Sequence[Any]
) -> Iterator[FilteredDocuments]:
    """Yield what workers make of the shards in order."""
    parts = ((recipe, shard) for shard in shards)
    for batches in map_in_order(workers, _filter_shard, parts, QUEUED_PARTS * workers.count):
        yield from batches


def _filter_shard(part: tuple[Recipe, Any]) -> list[FilteredDocuments]:
    recipe, shard = part
    documents = find_source(recipe.corpus.source).read_shard(recipe.corpus, shard)
    return [*map(DocumentFilter(recipe).filter, _batches(documents))]


def filter_documents(recipe: Recipe, documents: Iterable[Document]) -> Iterator[FilteredDocuments]:
    """Yield the filtered documents in order, a batch at a time.

    Raises:
        StoreError: a process died, for example from lack of memory.
    """
    rest = iter(documents)
    document_filter = DocumentFilter(recipe)
    yield from map(document_filter.filter, _batches(islice(rest, SERIAL_DOCUMENTS)))
    processes = min(thread_count(), MAX_PROCESSES)
    if processes == 1 or multiprocessing.current_process().daemon:
        yield from map(document_filter.filter, _batches(rest))
        return
    for document in islice(rest, 1):
        yield from _filter_in_processes(recipe, chain([document], rest), processes)


def _filter_in_processes(
    recipe: Recipe, documents: Iterable[Document], processes: int
) -> Iterator[FilteredDocuments]:
    # Spawned, not forked: a fork would copy the locks of the threads of Prefect and pyarrow.
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(recipe,),
    )
    try:
        queued = QUEUED_BATCHES * processes
        yield from map_in_order(pool, _filter_batch, _batches(documents), queued)
    except BrokenProcessPool as error:
        raise StoreError(
            "a process that filters documents died: if it lacked memory, give it more, or set "
            "OMP_NUM_THREADS=1 to work in one process; a script that ingests a corpus must do so "
            "under `if __name__ == '__main__':`"
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


def _start_worker(recipe: Recipe) -> None:
    global _document_filter
    exit_with_parent()  # else the processes of a killed run would never end
    _document_filter = DocumentFilter(recipe)


def _filter_batch(batch: list[Document]) -> FilteredDocuments:
    assert _document_filter is not None  # noqa: S101
    return _document_filter.filter(batch)
