"""File formats with one document in a line or row: text, JSONL, CSV, TSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document


class Rows(FileFormat):
    """A format of lines or rows."""

    has_rows = True

    def __init__(self, name: str, *endings: str) -> None:
        """Set name and endings."""
        self.name, self.endings = name, endings
        self.states_encoding = name == "parquet"

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield a document for each line or row."""
        from mirror.corpus.readers import read_file

        return read_file(file, section)

    def check(self, file: InputFile, section: FileFormatSection, first_line: str) -> None:
        """Check the file's columns."""
        from mirror.corpus.readers import check_file

        check_file(file, section, first_line)


register_format(Rows("text", ".txt", ".text"))
register_format(Rows("jsonl", ".jsonl", ".ndjson"))
register_format(Rows("csv", ".csv"))
register_format(Rows("tsv", ".tsv"))
register_format(Rows("parquet", ".parquet"))
