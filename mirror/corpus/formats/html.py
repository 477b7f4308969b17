"""File format `html`: sections of web pages."""

from __future__ import annotations

import codecs
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

import regex

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

_DECLARED = regex.compile(
    rb"""<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)=["']?([\w-]+)""", regex.I
)
_HEAD = 2_048
"""Bytes in which a page may declare its encoding."""


class Html(FileFormat):
    """HTML files."""

    name = "html"
    endings = (".html", ".htm")
    states_encoding = True
    parser_version = platform.python_version()

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield a document for each section.

        Bytes that are not in the declared encoding, else `corpus.encoding`, become U+FFFD.
        """
        from mirror.corpus.html_sections import html_sections, section_documents
        from mirror.corpus.text_lines import read_whole
        from mirror.documents import OVERSIZED, Document

        raw = read_whole(file)
        if raw is None:
            yield Document(file.name, file.name, fault=OVERSIZED)
        else:
            text = raw.decode(_encoding(raw, section.encoding), "replace")
            yield from section_documents(html_sections(text), file.name)


def _encoding(raw: bytes, default: str) -> str:
    from mirror.corpus.text_lines import encoding_by_mark, known_encoding

    if raw.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if mark := encoding_by_mark(raw):
        return mark
    if declared := _DECLARED.search(raw[:_HEAD]):
        return known_encoding(declared[1].decode(), default)
    return default


register_format(Html())
