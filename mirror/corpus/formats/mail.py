"""File formats `mail` and `mbox`: a mail's subject and its body."""

from __future__ import annotations

import io
import platform
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from typing import TYPE_CHECKING

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

NOT_MAIL = "not a mail"
_QUOTING_TAGS = frozenset({"blockquote"})
_LAYOUT_TAGS = frozenset({"header", "footer", "table"})
"""Tags that lay out a mail, whose content is text."""


class Mail(FileFormat):
    """Files of one mail."""

    name = "mail"
    endings = (".eml",)
    states_encoding = True
    parser_version = platform.python_version()

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield the mail."""
        from mirror.corpus.text_lines import read_whole

        yield _document(read_whole(file), file.name, file.name, section.encoding)


class Mbox(Mail):
    """Files of many mails, each after a line that begins with `From `."""

    name = "mbox"
    endings = (".mbox",)

    def read(self, file: InputFile, section: FileFormatSection) -> Iterator[Document]:
        """Yield the mails in order."""
        for number, raw in enumerate(_messages(file), 1):
            yield _document(raw, file.name, f"mail {number}", section.encoding)


def _messages(file: InputFile) -> Iterator[bytes | None]:
    """Yield the bytes of each mail, or None for an oversized one.

    Python's mailbox reads neither compressed files nor object storage.
    """
    from mirror.corpus.text_lines import open_bytes
    from mirror.documents import MAX_BYTES

    lines: list[bytes] = []
    size, is_first, after_blank = 0, True, True
    with open_bytes(file) as stream:
        for line in io.BufferedReader(stream):
            if after_blank and line.startswith(b"From "):
                if not is_first:
                    yield b"".join(lines) if size <= MAX_BYTES else None
                lines, size = [], 0
            else:
                size += len(line)
                if size <= MAX_BYTES:
                    lines.append(line[1:] if line.startswith(b">From ") else line)
            is_first, after_blank = False, not line.strip()
    if not is_first:
        yield b"".join(lines) if size <= MAX_BYTES else None


def _document(raw: bytes | None, source: str, position: str, encoding: str) -> Document:
    from email import message_from_bytes

    from mirror.corpus.html_sections import document_with_heading
    from mirror.corpus.mail_text import own_paragraphs, own_subject
    from mirror.documents import OVERSIZED, Document

    if raw is None:
        return Document(position, source, fault=OVERSIZED)
    try:
        message = message_from_bytes(raw)
    except RecursionError:
        return Document(position, source, fault=NOT_MAIL)
    if not message.keys():
        return Document(position, source, fault=NOT_MAIL)
    paragraphs = own_paragraphs(_body(message, encoding))
    return document_with_heading(own_subject(_subject(message, encoding)), paragraphs, source)


def _subject(message: Message, encoding: str) -> str:
    from email.errors import HeaderParseError

    subject = message.get("Subject", "")
    try:
        parts = decode_header(subject)
    except HeaderParseError:
        return str(subject)
    return "".join(
        part if isinstance(part, str) else _decode(part, charset, encoding)
        for part, charset in parts
    )


def _body(message: Message, encoding: str) -> str:
    """Return the text of the first part of plain text, else of HTML; empty if it has neither."""
    from mirror.corpus.html_sections import NO_TEXT_TAGS, html_sections

    parts = [part for part in message.walk() if part.get_content_disposition() != "attachment"]
    for kind in ("text/plain", "text/html"):
        part = next((part for part in parts if part.get_content_type() == kind), None)
        if part is None:
            continue
        raw = part.get_payload(decode=True)
        text = _decode(raw if isinstance(raw, bytes) else b"", part.get_content_charset(), encoding)
        if kind == "text/plain":
            return text
        sections = html_sections(text, NO_TEXT_TAGS - _LAYOUT_TAGS | _QUOTING_TAGS)
        blocks = [[section.heading, *section.paragraphs] for section in sections]
        return "\n\n".join(block for each in blocks for block in each)
    return ""


def _decode(raw: bytes, charset: str | None, default: str) -> str:
    """Return text in a charset, or in the default if Python does not know it."""
    from mirror.corpus.text_lines import known_encoding

    return raw.decode(known_encoding(charset or default, default), "replace")


register_format(Mail())
register_format(Mbox())
