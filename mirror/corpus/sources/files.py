"""Corpus source `files`: files of any registered format, local or on object storage."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import field_validator, model_validator

from mirror.config_base import Address
from mirror.corpus.file_formats import known_formats
from mirror.corpus_config import ColumnsSection, CorpusSource, FileFacts, register_source
from mirror.errors import CorpusError
from mirror.hashing import class_code_hash, digest_of_json
from mirror.log_once import warn_once

if TYPE_CHECKING:
    from mirror.corpus.input_files import FoundFiles, InputFile
    from mirror.documents import Document
    from mirror.recipe import Recipe

log = logging.getLogger(__name__)

AUTO = "auto"
CHECKED_FILES = 50
"""Files checked before any work; all are checked again when they are read."""
SHARD_BYTES = 32 << 20
MOST_SHARD_BYTES = 256 << 20


class FileFormatSection(ColumnsSection):
    """How files are read."""

    format: str = AUTO
    """Name of a registered format; by the file's ending if `auto`."""
    encoding: str = "utf-8"
    """The encoding of the bytes, unless the file states its own: parquet, html, mail, mbox."""
    download_instructions: str = ""
    """How to get files that cannot be downloaded; shown to people, not part of any key."""

    @field_validator("format")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name != AUTO and name not in known_formats():
            raise ValueError(f"unknown format; use {AUTO} or one of {', '.join(known_formats())}")
        return name


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
        """Check the first files for format, encoding and columns; warn of files left out."""
        found = _search(section)
        check_files(list(found.files), section)
        if found.left_out:
            from mirror.corpus.file_kinds import describe_formats, describe_left_out

            left_out = f"{describe_left_out(found.left_out)}; {describe_formats()}"
            warn_once(log, f"{', '.join(section.paths)}: {left_out}")

    def read(self, section: FilesSection, recipe: Recipe) -> Iterator[Document]:
        """Yield the documents of all files, in the order of the paths and of their names."""
        return read_files(_find(section), section)

    def shards(self, section: FilesSection) -> list[list[InputFile]]:
        """Return neighbouring files of together about `SHARD_BYTES`; none if one is too large."""
        return divide_files(_find(section))

    def read_shard(self, section: FilesSection, shard: list[InputFile]) -> Iterator[Document]:
        """Yield the documents of some files in order."""
        return read_files(shard, section)

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

    def libraries(self, section: FilesSection) -> tuple[str, ...]:
        """Return the packages that read the files' formats."""
        return format_libraries({file.format for file in _find(section)})

    def code_digest(self, section: FilesSection) -> str:
        """Return a digest of this code and of that of the files' formats."""
        return format_code_digest(self, {file.format for file in _find(section)})

    def unhashed_settings(self) -> tuple[str, ...]:
        """Return the setting that is for people only."""
        return ("download_instructions",)

    def files(self, section: FilesSection, recipe: Recipe) -> list[FileFacts]:
        """Return name, path and size per file."""
        from mirror.corpus.input_files import file_facts

        return file_facts(_find(section))

    def files_left_out(self, section: FilesSection, recipe: Recipe) -> tuple[str, ...]:
        """Return names of files in the folders that are named, whose format is not read."""
        return _search(section).left_out


def format_libraries(names: set[str]) -> tuple[str, ...]:
    """Return the packages that read some formats."""
    return tuple(sorted({each for name in names for each in known_formats()[name].libraries}))


def format_code_digest(source: CorpusSource[Any], names: set[str]) -> str:
    """Return a digest of the code of a source and of some formats."""
    formats = [known_formats()[name] for name in sorted(names)]
    code = [class_code_hash(kind) for kind in (type(source), *map(type, formats))]
    return digest_of_json([*code, *(each.parser_version for each in formats)])


def check_files(files: list[InputFile], section: FileFormatSection) -> None:
    """Raise CorpusError if one of the first files cannot be read as the settings say."""
    from mirror.corpus.text_lines import check_head, first_bytes

    check_encoding(section.encoding)
    for file in files[:CHECKED_FILES]:
        file_format, first_line = known_formats()[file.format], ""
        if file_format.states_encoding:
            first_bytes(file)
        else:
            first_line = check_head(file, section.encoding)
        file_format.check(file, section, first_line)


def read_files(files: list[InputFile], section: FileFormatSection) -> Iterator[Document]:
    """Yield the documents of files in order; one without text for an empty file."""
    from mirror.documents import Document

    check_encoding(section.encoding)
    for file in files:
        documents = known_formats()[file.format].read(file, section)
        yield next(documents, Document("", file.name))
        yield from documents


def divide_files(files: Sequence[InputFile]) -> list[list[InputFile]]:
    """Return neighbouring files in shards of about `SHARD_BYTES`, for the workers of a cluster.

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


def _find(section: FilesSection) -> list[InputFile]:
    return list(_search(section).files)


def _search(section: FilesSection) -> FoundFiles:
    from mirror.corpus.input_files import search_files

    return search_files(section.paths, section.format, section.download_instructions)


def check_encoding(encoding: str) -> None:
    """Raise CorpusError if Python has no encoding of this name."""
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except LookupError as error:
        raise CorpusError(
            f"corpus.encoding {encoding!r} is not an encoding: use utf-8, cp1252, latin-1, utf-16, "
            "gb18030, shift_jis or another that Python knows"
        ) from error


register_source(Files())
