"""Lines of a file, whatever packs and encodes it, in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import regex

from mirror.corpus.cleaning import BROKEN
from mirror.corpus.input_files import InputFile
from mirror.documents import MAX_BYTES
from mirror.errors import CorpusError

CHUNK = 1 << 20
HEAD = 1 << 16
MOST_BROKEN = 0.1
"""Share of a file's lines that may hold bytes of another encoding; above, the encoding is wrong."""

_CONTROLS = regex.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WRITTEN_BROKEN = BROKEN.encode()
"""U+FFFD that the file itself holds: no sign of another encoding."""
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
    """Empty if it is oversized; U+FFFD where bytes do not fit the encoding."""
    oversized: bool = False


def read_lines(place: InputFile, encoding: str) -> Iterator[Line]:
    """The lines of a file, blank ones left out.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    decode = codecs.lookup(encoding)
    lines = broken = 0
    with open_bytes(place) as stream:
        for number, raw in enumerate(_raw_lines(_utf8(stream, place, encoding)), 1):
            if raw is None:
                yield Line(number, "", oversized=True)
                continue
            if raw.isspace() or not raw:
                continue
            text = _decoded(raw, decode)
            lines += 1
            broken += BROKEN in text and _WRITTEN_BROKEN not in raw
            yield Line(number, text)
    _check_encoding(place, encoding, lines, broken)


def check_head(place: InputFile, encoding: str) -> str:
    """The file's first line; reads 64 kB of it.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    with open_bytes(place) as stream:
        head = _first(stream)
    _check_bytes(head, place, encoding)
    if _is_wide(encoding):
        return head.decode(encoding, "ignore").lstrip().partition("\n")[0]
    whole, _, rest = head.removeprefix(codecs.BOM_UTF8).rpartition(b"\n")
    raw = [line for line in (whole or rest).split(b"\n") if line.strip()]
    texts = [_decoded(line, codecs.lookup(encoding)) for line in raw]
    if whole or len(head) < HEAD:
        _check_encoding(place, encoding, len(texts), sum(BROKEN in text for text in texts))
    return texts[0] if texts else ""


@contextmanager
def open_bytes(place: InputFile) -> Iterator[Any]:
    """The file's bytes, unpacked.

    Raises:
        CorpusError: it is missing, damaged or not packed as its ending says.
    """
    try:
        with place.files.open_input_stream(place.path, compression=place.compression) as stream:
            yield stream
    except OSError as error:
        packing = f", packed with {place.compression}" if place.compression else ""
        raise CorpusError(
            f"{place.path} cannot be read as {place.format}{packing} ({error}): "
            "replace it, or take it out of corpus.paths"
        ) from error


def _first(stream: Any) -> bytes:
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return head


def _utf8(stream: Any, place: InputFile, encoding: str) -> Iterator[bytes]:
    """The bytes in chunks; those of encodings in which a line's end is no byte, as UTF-8."""
    head = _first(stream)
    _check_bytes(head, place, encoding)
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
    """Lines; nothing in the place of one that is oversized."""
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


def _check_bytes(head: bytes, place: InputFile, encoding: str) -> None:
    if _is_wide(encoding):
        return
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            raise CorpusError(
                f"{place.path} is in {name}, not {encoding}: set corpus.encoding to {name!r}"
            )
    if b"\0" in head or len(_CONTROLS.findall(head)) > 0.02 * len(head):
        raise CorpusError(
            f"{place.path} is a binary file, not {place.format}: name text files in corpus.paths, "
            "set corpus.format if it is Parquet, or corpus.encoding if it is UTF-16"
        )


def _check_encoding(place: InputFile, encoding: str, lines: int, broken: int) -> None:
    if broken > MOST_BROKEN * lines:
        raise CorpusError(
            f"{place.path} is not in {encoding}: {broken} of {lines} lines read do not decode; set "
            "corpus.encoding to what it is in, such as 'cp1252', 'latin-1' or 'utf-16'"
        )
