"""Texts to encode, with ids: of files in every format of a corpus, or of a recipe's source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pyarrow import fs

from mirror.corpus.file_formats import known_formats
from mirror.corpus.input_files import InputFile, search_files
from mirror.corpus.sources import check_sources, read_documents
from mirror.corpus.sources.files import FileFormatSection, check_encoding, check_files
from mirror.corpus.text_lines import read_lines, stream_lines
from mirror.documents import OVERSIZED, TextRow
from mirror.errors import InputError
from mirror.recipe import Recipe

STANDARD_INPUT = InputFile(fs.LocalFileSystem(), "standard input", "line", "text", None)


def find_text_files(paths: Sequence[str], section: FileFormatSection) -> list[InputFile]:
    """Return the files that paths name: files, folders, globs or URIs; the first are checked.

    Raises:
        CorpusError: a path does not exist, or a file cannot be read as the settings say.
        ServiceError: an object store does not answer.
    """
    files = list(search_files(tuple(paths), section.format).files)
    check_files(files, section)
    return files


def file_rows(files: Sequence[InputFile], section: FileFormatSection) -> Iterator[TextRow]:
    """Yield the documents of files, in order; every line of a file of text is one, blank or not.

    The id is that of `section.source_column`, else file and number of the line or document from 1.

    Raises:
        CorpusError: a file cannot be read.
        ServiceError: an object store does not answer.
    """
    names = Counter(file.name for file in files)
    for file in files:
        name = file.name if names[file.name] == 1 else file.path
        if file.format == "text":
            for line in read_lines(file, section.encoding, keep_blank=True):
                fault = OVERSIZED if line.oversized else ""
                yield TextRow(f"{name}:{line.number}", line.text, fault)
            continue
        for number, row in enumerate(known_formats()[file.format].read(file, section), 1):
            # Without an id of its own, a document's source is its file.
            own = "" if row.fault or row.source == file.name else row.source
            yield TextRow(own or f"{name}:{number}", row.text, row.fault)


def stream_rows(stream: BinaryIO, encoding: str) -> Iterator[TextRow]:
    """Yield every line of a stream, blank or not, with its number from 1 as its id.

    Raises:
        CorpusError: it is binary, or in another encoding.
    """
    check_encoding(encoding)
    for line in stream_lines(stream, STANDARD_INPUT, encoding, keep_blank=True):
        yield TextRow(str(line.number), line.text, OVERSIZED if line.oversized else "")


def recipe_rows(recipe: Recipe) -> Iterator[TextRow]:
    """Yield all documents of a recipe's source, whole; the id is source and number from 1.

    Raises:
        InputError: the source is missing, unreadable or of another kind.
        ServiceError: a hub or an object store does not answer.
    """
    check_sources(recipe)
    for number, row in enumerate(read_documents(recipe), 1):
        yield TextRow(f"{row.source}:{number}", row.text, row.fault)


def read_utf8_lines(path: Path) -> list[str]:
    """Return the lines of a file; a line may be empty.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = (data := path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a text file") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path} is not UTF-8 in line {line}: convert it, for example with iconv"
        ) from error
    if not text:
        raise InputError(f"{path} is empty: write one text a line")
    # Not splitlines, which also splits at characters that may be part of a text.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
