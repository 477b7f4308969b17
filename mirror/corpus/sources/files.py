"""Corpus source `files`: text, JSONL, CSV, TSV and Parquet, local or on object storage."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from mirror.config_base import Address
from mirror.corpus_config import CorpusSection, CorpusSource, FileFacts, register_source
from mirror.errors import CorpusError

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.documents import Document
    from mirror.recipe import Recipe

CHECKED_FILES = 50
"""Files checked before any work; all are checked again when they are read."""


class FileFormatSection(CorpusSection):
    """How files are read."""

    format: Literal["auto", "text", "jsonl", "csv", "tsv", "parquet"] = "auto"
    """By the file's ending if `auto`."""
    text_column: str = "text"
    """jsonl, csv, tsv, parquet: the column that holds the text."""
    source_column: str | None = None
    """Likewise, the column that says where a row comes from; else the file's name."""
    title_column: str | None = None
    """Likewise, the column with the text's title; rows have none if it is left out."""
    encoding: str = "utf-8"
    """text, jsonl, csv, tsv: the encoding of the bytes."""
    download_instructions: str = ""
    """How to get files that cannot be downloaded; shown to people, not part of any key."""

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        named = (self.text_column, self.source_column, self.title_column)
        return list(dict.fromkeys(filter(None, named)))


class FilesSection(FileFormatSection):
    """Settings of source `files`."""

    paths: tuple[Address, ...] = ()
    """Files, folders, globs or URIs (`s3://`, `gs://`, `file://`)."""

    @model_validator(mode="after")
    def _has_paths(self) -> Self:
        if not self.paths:
            raise ValueError("source 'files' needs `paths`: name files, folders or globs")
        return self


class Files(CorpusSource[FilesSection]):
    """Files named by paths, folders, globs and URIs."""

    name = "files"
    settings = FilesSection
    has_lines = True

    def check(self, section: FilesSection, recipe: Recipe) -> None:
        """Check the first files for format, encoding and columns."""
        check_files(_find(section), section)

    def read(self, section: FilesSection, recipe: Recipe) -> Iterator[Document]:
        """Yield the documents of all files, in the order of the paths and of their names."""
        return read_files(_find(section), section)

    def digests(self, section: FilesSection, recipe: Recipe) -> dict[str, str]:
        """Return a digest per file."""
        from mirror.corpus.input_files import input_digests

        return input_digests(_find(section))

    def describe(self, section: FilesSection) -> str:
        """Return the paths."""
        return ", ".join(section.paths)

    def label(self, section: FilesSection) -> str:
        """Return the last parts of the paths."""
        return ", ".join(path.rstrip("/").rpartition("/")[2] for path in section.paths)

    def unhashed_settings(self) -> tuple[str, ...]:
        """Return the setting that is for people only."""
        return ("download_instructions",)

    def files(self, section: FilesSection, recipe: Recipe) -> list[FileFacts]:
        """Return name, path and size per file."""
        from mirror.corpus.input_files import file_facts

        return file_facts(_find(section))


def check_files(files: list[InputFile], section: FileFormatSection) -> None:
    """Raise CorpusError if one of the first files cannot be read as the settings say."""
    from mirror.corpus.readers import check_file

    _check_encoding(section.encoding)
    for file in files[:CHECKED_FILES]:
        check_file(file, section)


def read_files(files: list[InputFile], section: FileFormatSection) -> Iterator[Document]:
    """Yield the documents of files in order."""
    from mirror.corpus.readers import read_file

    _check_encoding(section.encoding)
    for file in files:
        yield from read_file(file, section)


def _find(section: FilesSection) -> list[InputFile]:
    from mirror.corpus.input_files import find_input_files

    return find_input_files(section.paths, section.format, section.download_instructions)


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except LookupError as error:
        raise CorpusError(
            f"corpus.encoding {encoding!r} is not an encoding: use utf-8, cp1252, latin-1, utf-16, "
            "gb18030, shift_jis or another that Python knows"
        ) from error


register_source(Files())
