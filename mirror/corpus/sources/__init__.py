"""Registered corpus sources, one module each."""

from __future__ import annotations

from collections.abc import Iterator

from mirror.corpus.extras import require_extra
from mirror.corpus.language_id import check_language_exists
from mirror.corpus_config import CorpusSection, find_source
from mirror.documents import Document
from mirror.recipe import Recipe


def check_sources(recipe: Recipe) -> None:
    """Raise an error if a recipe's text is missing or of another kind; takes seconds.

    Published files that are missing are downloaded: they are small, and it is better to learn now
    that a publisher no longer has them.

    Raises:
        InputError: something is missing or of another kind.
        ServiceError: an object store or a publisher does not answer.
    """
    check_language_exists(recipe.language)
    source_libraries(recipe.corpus)
    find_source(recipe.corpus.source).check(recipe.corpus, recipe)


def read_documents(recipe: Recipe) -> Iterator[Document]:
    """Yield all documents of a recipe's source, in an order that depends on the data only.

    Raises:
        InputError: a source is missing, unreadable or of another kind.
        ServiceError: a hub or an object store does not answer.
    """
    return find_source(recipe.corpus.source).read(recipe.corpus, recipe)


def source_digests(recipe: Recipe) -> dict[str, str]:
    """Return digests of a recipe's data by name: equal digests mean equal documents.

    Raises:
        InputError: a source is missing.
        ServiceError: an object store does not answer.
    """
    return find_source(recipe.corpus.source).digests(recipe.corpus, recipe)


def source_libraries(section: CorpusSection) -> tuple[str, ...]:
    """Return distributions, beyond those of every corpus, whose version changes the documents.

    Raises:
        InputError: one belongs to an extra that is not installed.
    """
    libraries = find_source(section.source).libraries(section)
    if section.near_duplicates is not None:
        libraries += (require_extra("datasketch", "corpus.near_duplicates", "dedup"),)
    return libraries
