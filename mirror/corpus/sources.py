"""Where text comes from: files, published lists, docstrings, word frequencies, hubs."""

from __future__ import annotations

import codecs
import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirror.corpus.docstrings import distribution_digests, find_distributions, read_docstrings
from mirror.corpus.documents import MAX_BYTES, OVERSIZED, Document
from mirror.corpus.input_files import InputFile, find_places, place_digests
from mirror.corpus.language_id import check_language_exists
from mirror.corpus.published import list_digests, obtain_lists
from mirror.corpus.readers import NO_TEXT, check_place, read_place
from mirror.errors import CorpusError, InputError, ServiceError
from mirror.hashing import digest_of_json, file_digests
from mirror.paths import local_path
from mirror.recipe import CorpusSection, Recipe

PEEK = 50
"""Files looked at before any work; all are looked at again when they are read."""
PER_BILLION = 1_000_000_000


def check_sources(recipe: Recipe) -> None:
    """Whether the sources are there and look as the recipe says; reads little, takes seconds.

    Published lists that are not at hand are fetched: they are small, and a publisher that is gone
    is better known now.

    Raises:
        InputError: something is missing or of another kind.
        ServiceError: an object store or a publisher does not answer.
    """
    section = recipe.corpus
    check_language_exists(recipe.language)
    source_libraries(section)
    match section.source:
        case "files" | "published":
            _check_encoding(section.encoding)
            for place in _places(recipe)[:PEEK]:
                check_place(place, section)
        case "docstrings":
            find_distributions(section.packages)
        case "wordfreq":
            _check_word_list(recipe.language)


def read_documents(recipe: Recipe) -> Iterator[Document]:
    """All documents of the recipe's sources, in an order that depends on nothing else.

    Raises:
        InputError: a source is missing, unreadable or of another kind.
        ServiceError: a hub or an object store does not answer.
    """
    section = recipe.corpus
    match section.source:
        case "files" | "published":
            _check_encoding(section.encoding)
            for place in _places(recipe):
                yield from read_place(place, section)
        case "docstrings":
            yield from read_docstrings(section.packages)
        case "wordfreq":
            yield from _read_word_list(recipe.language, section.words)
        case "hub":
            yield from _read_hub(section)


def source_digests(recipe: Recipe) -> dict[str, str]:
    """What the sources hold, as digests by name: the same digests, the same documents.

    Raises:
        InputError: a source is missing.
        ServiceError: an object store does not answer.
    """
    section = recipe.corpus
    match section.source:
        case "files":
            return place_digests(_places(recipe))
        case "published":
            return list_digests(section)
        case "docstrings":
            return distribution_digests(section.packages)
        case "hub":
            folder = local_path(str(section.dataset))
            if folder.exists():
                return {"dataset": digest_of_json(file_digests(folder))}
            return {"dataset": digest_of_json([section.dataset, section.revision])}
        case _:
            return {}


def source_libraries(section: CorpusSection) -> tuple[str, ...]:
    """Distributions, beyond those every corpus needs, whose version changes what comes out.

    Raises:
        InputError: one belongs to an extra that is not installed.
    """
    libraries: tuple[str, ...] = ()
    if section.source == "wordfreq":
        libraries += ("wordfreq",)
    if section.source == "hub":
        libraries += (_need("datasets", "source 'hub'", "hub"),)
    if section.near_duplicates is not None:
        libraries += (_need("datasketch", "corpus.near_duplicates", "dedup"),)
    return libraries


def _places(recipe: Recipe) -> list[InputFile]:
    section = recipe.corpus
    if section.source == "published":
        return obtain_lists(recipe)
    return find_places(section.paths, section.format, section.download_instructions)


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except LookupError as error:
        raise CorpusError(
            f"corpus.encoding {encoding!r} is no encoding: use utf-8, cp1252, latin-1, utf-16, "
            "gb18030, shift_jis or another that Python knows"
        ) from error


def _check_word_list(language: str) -> None:
    import wordfreq

    known = wordfreq.available_languages()
    if language not in known:
        raise CorpusError(
            f"wordfreq has no list for language {language!r}; it has {', '.join(sorted(known))}: "
            "use source 'files' with a list of your own"
        )


def _read_word_list(language: str, words: int) -> Iterator[Document]:
    import wordfreq

    _check_word_list(language)
    frequencies = wordfreq.get_frequency_dict(language)
    ordered = sorted(frequencies.items(), key=lambda item: (-item[1], item[0]))
    for word, frequency in itertools.islice(ordered, words):
        yield Document(word, "wordfreq", seen=max(1, round(frequency * PER_BILLION)))


def _need(library: str, wanted_by: str, extra: str) -> str:
    if importlib.util.find_spec(library) is None:
        raise InputError(
            f"{wanted_by} needs the extra `{extra}`: pip install -c constraints.txt -e '.[{extra}]'"
        )
    return library


def _read_hub(section: CorpusSection) -> Iterator[Document]:
    _need("datasets", "source 'hub'", "hub")
    import datasets

    folder = local_path(str(section.dataset))
    place = str(folder) if folder.exists() else str(section.dataset)
    try:
        rows = datasets.load_dataset(
            place,
            name=section.subset,
            split=section.split,
            revision=section.revision,
            streaming=True,
        )
        for number, row in enumerate(rows, 1):
            yield _hub_document(row, number, section)
    except (ConnectionError, TimeoutError) as error:
        raise ServiceError(
            f"the hub did not answer for data set {place} ({error}): check the network and "
            "run again, or name a local folder in corpus.dataset"
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,  # of one that comes with a script, which is never run
        datasets.exceptions.DatasetsError,
    ) as error:
        raise CorpusError(
            f"data set {place} cannot be read ({error}): check corpus.dataset, subset, split "
            f"{section.split!r} and revision"
        ) from error


def _hub_document(row: dict[str, Any], number: int, section: CorpusSection) -> Document:
    for column in filter(None, (section.text_column, section.source_column)):
        if column not in row:
            raise CorpusError(
                f"data set {section.dataset} has no column {column!r}: set corpus.text_column or "
                f"corpus.source_column to one that it has ({', '.join(sorted(row))})"
            )
    name = Path(str(section.dataset)).name
    source = str(row[section.source_column]) if section.source_column else name
    text = row[section.text_column]
    if not isinstance(text, str):
        return Document(f"row {number}", source, fault=NO_TEXT)
    if len(text) > MAX_BYTES:
        return Document(f"row {number}", source, fault=OVERSIZED)
    return Document(text, source)
