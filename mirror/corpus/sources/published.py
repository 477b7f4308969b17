"""Corpus source `published`: files known by checksum, such as the paper's training lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from mirror.corpus.file_formats import format_by_ending
from mirror.corpus.sources.files import (
    AUTO,
    FileFormatSection,
    check_files,
    format_code_digest,
    format_libraries,
    read_files,
)
from mirror.corpus_config import CorpusSource, FileFacts, register_source
from mirror.data_files import DataFile, data_roots, fetched_root
from mirror.errors import CorpusError

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.documents import Document
    from mirror.recipe import Recipe

KIND = "corpora"
LISTS_ENV = "MIRROR_CORPORA"


class PublishedSection(FileFormatSection):
    """Settings of source `published`."""

    files: tuple[DataFile, ...] = ()
    """Files by checksum, downloaded from their `url` if they are not found locally."""

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        if not self.files:
            raise ValueError("source 'published' needs `files`, with `path` and `sha256`")
        return self


class Published(CorpusSource[PublishedSection]):
    """Files known by checksum, found locally or downloaded."""

    name = "published"
    settings = PublishedSection
    has_lines = True

    def check(self, section: PublishedSection, recipe: Recipe) -> None:
        """Download missing files and check the first ones."""
        check_files(obtain_lists(section, recipe), section)

    def read(self, section: PublishedSection, recipe: Recipe) -> Iterator[Document]:
        """Yield the documents of all files in the recipe's order."""
        return read_files(obtain_lists(section, recipe), section)

    def digests(self, section: PublishedSection, recipe: Recipe) -> dict[str, str]:
        """Return the declared checksums, so that no file need be present."""
        return {
            f"{number:06} {file.path}": file.sha256 for number, file in enumerate(section.files)
        }

    def describe(self, section: PublishedSection) -> str:
        """Return the addresses, or the paths of files without one."""
        return ", ".join(file.url or file.path for file in section.files)

    def label(self, section: PublishedSection) -> str:
        """Return the names of the files."""
        return ", ".join(Path(file.path).name for file in section.files)

    def libraries(self, section: PublishedSection) -> tuple[str, ...]:
        """Return the packages that read the files' formats."""
        return format_libraries(_formats(section))

    def code_digest(self, section: PublishedSection) -> str:
        """Return a digest of this code and of that of the files' formats."""
        return format_code_digest(self, _formats(section))

    def unhashed_settings(self) -> tuple[str, ...]:
        """Return settings already covered by the digests, or for people only."""
        return ("files", "download_instructions")

    def files(self, section: PublishedSection, recipe: Recipe) -> list[FileFacts]:
        """Return name, path and size per file."""
        from mirror.corpus.input_files import file_facts

        facts = file_facts(obtain_lists(section, recipe))
        names = self.digests(section, recipe)
        return [{**fact, "name": name} for name, fact in zip(names, facts, strict=True)]


def obtain_lists(section: PublishedSection, recipe: Recipe) -> list[InputFile]:
    """Return the published files in order; those not found locally are downloaded first.

    A file with another content than declared counts as missing.

    Raises:
        CorpusError: a file is missing and has no `url`, or the download has another checksum.
        ServiceError: a publisher does not answer.
        StoreError: a downloaded file cannot be written.
    """
    from mirror.corpus.input_files import search_files

    found: list[InputFile] = []
    for file in section.files:
        path = _find(file) or _fetch(file, section, recipe)
        found.extend(search_files((str(path),), section.format).files)
    return found


def _formats(section: PublishedSection) -> set[str]:
    """Return the names of the files' formats, whether or not the files are present."""
    if section.format != AUTO:
        return {section.format}
    return {name for file in section.files if (name := format_by_ending(file.path))}


def _find(file: DataFile) -> Path | None:
    from mirror.download import is_declared

    candidates = (root / file.path for root in data_roots(KIND, LISTS_ENV))
    return next((path.absolute() for path in candidates if is_declared(path, file)), None)


def _fetch(file: DataFile, section: PublishedSection, recipe: Recipe) -> Path:
    from mirror.download import download_file

    owner = f"recipe {recipe.name}"
    if file.url is not None:
        return download_file(file, file.url, fetched_root(KIND), owner, CorpusError)
    looked = ", ".join(str(root) for root in data_roots(KIND, LISTS_ENV))
    remedy = " ".join(section.download_instructions.split()) or "put it into one of them"
    raise CorpusError(
        f"{owner}: no {file.path} with SHA-256 {file.sha256[:12]}… in {looked}, and no `url` to "
        f"fetch it from: {remedy}; {LISTS_ENV} may name another folder to look in"
    )


register_source(Published())
