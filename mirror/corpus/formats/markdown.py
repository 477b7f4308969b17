"""File format `markdown`: sections of CommonMark with tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import regex

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.html_sections import TextSection
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

_FRONT_MATTER = regex.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", regex.DOTALL)


class Markdown(FileFormat):
    """Markdown files."""

    name = "markdown"
    endings = (".md", ".markdown")
    libraries = ("markdown-it-py",)

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield a document for each section."""
        from mirror.corpus.html_sections import read_sections

        return read_sections(file, section.encoding, markdown_sections)


def markdown_sections(text: str) -> list[TextSection]:
    """Return the sections of a Markdown text."""
    from mirror.corpus.html_sections import html_sections

    return html_sections(_renderer().render(_FRONT_MATTER.sub("", text)))


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark").enable("table")
    # A tag's name in a sentence, such as <nav>, would make the rest of the text navigation.
    renderer.add_render_rule("html_inline", _without_tag)
    return renderer


def _without_tag(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    return " " if tokens[at].content.lower().startswith("<br") else ""


register_format(Markdown())
