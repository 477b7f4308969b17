"""Lines and whole texts of files of any encoding and compression, read in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import regex

from mirror.corpus.cleaning import BROKEN
from mirror.corpus.file_kinds import describe_kind, kind_by_bytes, text_like_kind
from mirror.corpus.input_files import InputFile
from mirror.documents import MAX_BYTES
from mirror.errors import CorpusError

CHUNK = 1 << 20
HEAD = 1 << 16
MOST_BROKEN = 0.1
"""Largest share of undecodable lines; above, the encoding is wrong."""

_CONTROLS = regex.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ENCODED_BROKEN = BROKEN.encode()
"""U+FFFD in the file itself, which is no sign of another encoding."""
_WIDE = ("utf_16", "utf_32")
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Line(NamedTuple):
    """A line without its end."""

    number: int
    """From 1."""
    text: str
    """Empty if the line is oversized; undecodable bytes become U+FFFD."""
    oversized: bool = False


def read_lines(file: InputFile, encoding: str, *, keep_blank: bool = False) -> Iterator[Line]:
    """Yield the lines of a file, without blank ones unless they are kept.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    with open_bytes(file) as stream:
        yield from stream_lines(stream, file, encoding, keep_blank=keep_blank)


def stream_lines(
    stream: Any, file: InputFile, encoding: str, *, keep_blank: bool = False
) -> Iterator[Line]:
    """Yield the lines of an open file; see `read_lines`."""
    decode = codecs.lookup(encoding)
    lines = broken = 0
    for number, raw in enumerate(_raw_lines(_utf8(stream, file, encoding)), 1):
        if raw is None:
            yield Line(number, "", oversized=True)
            continue
        if not keep_blank and (raw.isspace() or not raw):
            continue
        text = _decoded(raw, decode)
        lines += 1
        broken += BROKEN in text and _ENCODED_BROKEN not in raw
        yield Line(number, text)
    _check_encoding(file, encoding, lines, broken)


def check_head(file: InputFile, encoding: str) -> str:
    """Return the file's first line, from its first 64 kB.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    head = first_bytes(file)
    _check_bytes(head, file, encoding)
    if _is_wide(encoding):
        return head.decode(encoding, "ignore").lstrip().partition("\n")[0]
    whole, _, rest = head.removeprefix(codecs.BOM_UTF8).rpartition(b"\n")
    raw = [line for line in (whole or rest).split(b"\n") if line.strip()]
    texts = [_decoded(line, codecs.lookup(encoding)) for line in raw]
    if whole or len(head) < HEAD:
        _check_encoding(file, encoding, len(texts), sum(BROKEN in text for text in texts))
    return texts[0] if texts else ""


def first_bytes(file: InputFile) -> bytes:
    """Return a file's first 64 kB.

    Raises:
        CorpusError: the file cannot be read.
    """
    with open_bytes(file) as stream:
        return _first(stream)


def encoding_by_mark(head: bytes) -> str | None:
    """Return the encoding that a file's first bytes mark, except UTF-8; None without a mark."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def read_whole(file: InputFile) -> bytes | None:
    """Return a file's bytes, or None if they are more than `MAX_BYTES`.

    Raises:
        CorpusError: the file cannot be read.
    """
    with open_bytes(file) as stream:
        raw = bytes(stream.read(MAX_BYTES + 1))
    return raw if len(raw) <= MAX_BYTES else None


def read_text(file: InputFile, encoding: str) -> str | None:
    """Return a file's text, or None if it is longer than `MAX_BYTES`.

    Undecodable bytes become U+FFFD, and the ends of lines line feeds.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    raw = read_whole(file)
    if raw is None:
        return None
    _check_bytes(raw[:HEAD], file, encoding)
    text = raw.removeprefix(codecs.BOM_UTF8).decode(encoding, "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n") if line.strip()]
    if _ENCODED_BROKEN not in raw:
        _check_encoding(file, encoding, len(lines), sum(BROKEN in line for line in lines))
    return text


def known_encoding(name: str, default: str) -> str:
    """Return the name of an encoding if Python can decode with it, else the default."""
    try:
        b"\xff".decode(name, "replace")  # punycode raises here in spite of "replace"
    except (LookupError, ValueError):
        return default
    return name


@contextmanager
def open_bytes(file: InputFile) -> Iterator[Any]:
    """Open a file as a stream of decompressed bytes.

    Raises:
        CorpusError: the file is missing or damaged, or its compression is not that of its ending.
    """
    try:
        with file.filesystem.open_input_stream(file.path, compression=file.compression) as stream:
            yield stream
    except OSError as error:
        packing = f", compressed with {file.compression}" if file.compression else ""
        raise CorpusError(
            f"{file.path} cannot be read as {file.format}{packing} ({error}): "
            "replace it, or remove it from corpus.paths"
        ) from error


def _first(stream: Any) -> bytes:
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return head


def _utf8(stream: Any, file: InputFile, encoding: str) -> Iterator[bytes]:
    """Yield the bytes in chunks; UTF-16 and UTF-32, whose line ends are several bytes, as UTF-8."""
    head = _first(stream)
    _check_bytes(head, file, encoding)
    if not _is_wide(encoding):
        yield head.removeprefix(codecs.BOM_UTF8)
        while chunk := stream.read(CHUNK):
            yield chunk
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield decoder.decode(head).encode()
    while chunk := stream.read(CHUNK):
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def _raw_lines(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield lines, and None for an oversized one."""
    pieces: list[bytes] = []
    length = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        length += len(first)
        if length <= MAX_BYTES:
            pieces.append(first)
        else:
            pieces.clear()
        if rest:
            yield b"".join(pieces) if length <= MAX_BYTES else None
            yield from (line if len(line) <= MAX_BYTES else None for line in rest[:-1])
            pieces, length = [rest[-1]], len(rest[-1])
    if length:
        yield b"".join(pieces) if length <= MAX_BYTES else None


def _decoded(raw: bytes, codec: codecs.CodecInfo) -> str:
    name = "utf-8" if _is_wide(codec.name) else codec.name
    return raw.decode(name, "replace").rstrip("\r")


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.replace("-", "_").startswith(_WIDE)


def _check_bytes(head: bytes, file: InputFile, encoding: str) -> None:
    if _is_wide(encoding):
        wide = codecs.lookup(encoding).name
        if head and wide in _MARKS.values() and not encoding_by_mark(head):
            raise CorpusError(
                f"{file.path} has no byte order mark, so it is not in {wide}: set corpus.encoding "
                f"to '{wide}-le' or '{wide}-be', or to 'utf-8'"
            )
        return
    if name := encoding_by_mark(head):
        raise CorpusError(
            f"{file.path} is in {name}, not {encoding}: set corpus.encoding to {name!r}"
        )
    is_binary = b"\0" in head or len(_CONTROLS.findall(head)) > 0.02 * len(head)
    if kind := kind_by_bytes(head) if is_binary else text_like_kind(head, file.format):
        raise CorpusError(f"{file.path} (corpus.paths) {describe_kind(kind)}")
    if is_binary:
        line = 1 + head[: next(_CONTROLS.finditer(head)).start()].count(b"\n")
        raise CorpusError(
            f"{file.path} is a binary file, not {file.format} (see line {line}): name text "
            "files in corpus.paths, set corpus.format if it is Parquet, or corpus.encoding if it "
            "is UTF-16"
        )


def _check_encoding(file: InputFile, encoding: str, lines: int, broken: int) -> None:
    if broken > MOST_BROKEN * lines:
        raise CorpusError(
            f"{file.path} is not in {encoding}: {broken} of {lines} lines cannot be decoded: set "
            "corpus.encoding to its encoding, such as 'cp1252', 'latin-1' or 'utf-16'"
        )
