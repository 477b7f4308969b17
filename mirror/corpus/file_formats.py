"""File formats of a corpus, and their registry.

A format is a module in `mirror/corpus/formats/` that calls `register_format`.  These modules are
imported whenever a recipe is read, so they import the libraries that read text inside functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from mirror.registration import import_modules

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


class FileFormat(ABC):
    """A way in which a file holds documents."""

    name: str
    """Value of `corpus.format`."""
    endings: tuple[str, ...]
    """Endings of such files, in lower case, without that of a compression."""
    has_rows: ClassVar[bool] = False
    """Whether each line or row is a document."""
    states_encoding: bool = False
    """Whether files state their encoding, so that they need not be in the recipe's."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version changes the documents."""
    parser_version: ClassVar[str] = ""
    """Version of Python if its standard library parses the files."""

    @abstractmethod
    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield the documents of a file in order; unreadable ones have a `fault`."""

    def check(  # noqa: B027  # optional
        self, file: InputFile, section: FileFormatSection, first_line: str
    ) -> None:
        """Raise CorpusError if a file is faulty, beyond the encoding of its first bytes.

        The first line is empty if files of the format state their encoding.
        """


_formats: dict[str, FileFormat] = {}


def register_format(file_format: FileFormat) -> None:
    """Add a format under its name; a second one of the same name replaces it."""
    _formats[file_format.name] = file_format


def known_formats() -> dict[str, FileFormat]:
    """Return the registered formats by name."""
    import_modules("mirror.corpus.formats")
    return _formats


def format_by_ending(name: str) -> str:
    """Return the name of the format of a file's ending; empty if it is unknown."""
    path = PurePosixPath(name.lower())
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    of_ending = (each.name for each in known_formats().values() if path.suffix in each.endings)
    return next(of_ending, "")
