"""File format `paragraphs`: text in which a blank line ends a document, such as a novel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import regex

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

_BLANK = regex.compile(r"\n[ \t]*\n\s*")


class Paragraphs(FileFormat):
    """Files of paragraphs whose lines are cut at some width; no ending says so."""

    name = "paragraphs"
    endings = ()

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield a document for each paragraph, in one line."""
        from mirror.corpus.text_lines import read_text
        from mirror.documents import OVERSIZED, Document

        text = read_text(file, section.encoding)
        if text is None:
            yield Document(file.name, file.name, fault=OVERSIZED)
            return
        for paragraph in _BLANK.split(text):
            if line := " ".join(paragraph.split()):
                yield Document(line, file.name)


register_format(Paragraphs())
