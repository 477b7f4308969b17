"""File formats `mail` and `mbox`: a mail's subject and body, in the sender's own words.

Prefixes, quotations and signatures are left out.
"""

from __future__ import annotations

import io
import platform
from collections.abc import Iterator
from email.header import decode_header
from email.message import Message
from itertools import takewhile
from typing import TYPE_CHECKING

import regex

from mirror.corpus.file_formats import FileFormat, register_format

if TYPE_CHECKING:
    from mirror.corpus.input_files import InputFile
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.documents import Document

NOT_MAIL = "not a mail"
_QUOTING_TAGS = frozenset({"blockquote"})
_LAYOUT_TAGS = frozenset({"header", "footer", "table"})
"""Tags that lay out a mail, whose content is text."""
_PREFIX = regex.compile(
    r"(?:(?:re|fwd?|aw|wg|sv|vs|tr|antw|odp|rif|res|enc|r|i|回复|答复|转发)"
    r"\s*(?:\[\d+\]|\(\d+\)|\^\d+)?\s*[:：]\s*|\[[^\]]{1,60}\]\s*)+",
    regex.IGNORECASE,
)
"""Answers and forwards in a dozen languages, and names of lists in brackets."""
_QUOTE = regex.compile(r" ?>")
_TIME = regex.compile(r"\d:\d\d|\b\d{4}\b|@")
_FOREIGN = regex.compile(r"-{3,} ?(?!BEGIN PGP SIGNED)\p{L}[^\n]*-{3,}|_{20,}")
"""A line above a mail that is answered or forwarded, above a list's footer or a PGP signature."""
_PGP = regex.compile(r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash: .*\n)*")
_BULLET = regex.compile(r"\s*(?:[-*+•]|\(?\d{1,2}[.)])\s+")
_MOST_ATTRIBUTION = 3
"""Lines of "On ..., ... wrote:"."""


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


def own_subject(subject: str) -> str:
    """Return a subject without marks of answers, forwards and lists."""
    text = " ".join(subject.split())
    match = _PREFIX.match(text)
    return text[match.end() :] if match else text


def own_paragraphs(text: str) -> list[str]:
    """Return the paragraphs that the sender wrote, each on one line; list items are paragraphs."""
    lines = _PGP.sub("", text.replace("\r\n", "\n")).replace("\xa0", " ").split("\n")
    lines = list(takewhile(_is_own, (line.rstrip() for line in lines)))
    paragraphs: list[list[str]] = [[]]
    for line in _without_quotations(lines):
        bullet = _BULLET.match(line)
        if bullet or not line:
            paragraphs.append([])
        paragraphs[-1].append(line[bullet.end() :] if bullet else line.strip())
    return [joined for lines in paragraphs if (joined := " ".join(lines).strip())]


def _is_own(line: str) -> bool:
    """Return whether a line begins neither a signature nor another's text."""
    return line != "--" and not _FOREIGN.fullmatch(line)


def _without_quotations(lines: list[str]) -> list[str]:
    """Return lines without quoted ones and the sentences above them that say who wrote them."""
    kept: list[str] = []
    for line in lines:
        if not _QUOTE.match(line):
            kept.append(line)
        elif kept and kept[-1] != ">":
            _remove_attribution(kept)
            kept.append(">")  # a mark, for quotations of several lines
    return ["" if line == ">" else line for line in kept]


def _remove_attribution(lines: list[str]) -> None:
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    if not end or not lines[end - 1].endswith((":", "：")):
        return
    for count in range(1, min(_MOST_ATTRIBUTION, end) + 1):
        if not lines[end - count]:
            return
        if _TIME.search(lines[end - count]) and not _continues(lines, end - count):
            del lines[end - count :]
            return


def _continues(lines: list[str], at: int) -> bool:
    """Return whether the line above has a time or an address too."""
    return at > 0 and bool(_TIME.search(lines[at - 1]))


register_format(Mail())
register_format(Mbox())
