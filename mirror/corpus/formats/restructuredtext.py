"""File format `rst`: sections of reStructuredText.

Of Sphinx, roles are read; directives that docutils does not know are left out with their content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.html_sections import TextSection
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

_SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,
    "docinfo_xform": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "math_output": "LaTeX",
    "raw_enabled": False,
    "report_level": 5,
    "syntax_highlight": "none",
    "trim_footnote_reference_space": True,
}


class ReStructuredText(FileFormat):
    """reStructuredText files."""

    name = "rst"
    endings = (".rst",)
    libraries = ("docutils",)

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield a document for each section."""
        from mirror.corpus.html_sections import read_sections

        return read_sections(file, section.encoding, rst_sections)


def rst_sections(text: str) -> list[TextSection]:
    """Return the sections of a reStructuredText.

    Raises:
        ValueError: docutils cannot read it.
    """
    from docutils.core import publish_parts

    from mirror.corpus.docstring_text import plain_text
    from mirror.corpus.html_sections import TextSection, html_sections

    try:
        parts = publish_parts(text, writer="html5", settings_overrides=_SETTINGS)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"docutils fails: {error!r}") from error
    # Roles of Sphinx, which docutils does not know, are still in the text.
    return [
        TextSection(plain_text(found.heading), [plain_text(each) for each in found.paragraphs])
        for found in html_sections(parts["body"])
    ]


register_format(ReStructuredText())
