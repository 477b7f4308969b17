"""Kinds of files that are not read, such as PDF, by their names and first bytes."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from mirror.corpus.file_formats import COMPRESSIONS, known_formats

HEAD = 4_096
"""First bytes that tell the kind."""
SHOWN_ENDINGS = 5
SHOWN_NAMES = 3
_NO_ENDING = "no ending"


@dataclass(frozen=True)
class FileKind:
    """A kind of file that no format reads."""

    name: str
    """With its article."""
    endings: tuple[str, ...]
    marks: tuple[bytes, ...] = ()
    """First bytes of such files."""
    remedy: str = "name files of text instead"


_TEXT = "save it as text, HTML or Markdown"
_UNPACK = "unpack it and name the folder"
_OFFICE = (b"PK\x03\x04",)
_OLD_OFFICE = (b"\xd0\xcf\x11\xe0",)
PDF = FileKind(
    "a PDF", (".pdf",), (b"%PDF-", b"%pdf-"), "convert it to text, for example with pdftotext"
)
WORD = FileKind("a Word document", (".docx", ".doc", ".dotx"), (), _TEXT)
SHEET = FileKind("a spreadsheet", (".xlsx", ".xls", ".ods", ".xlsm"), (), "save it as CSV")
SLIDES = FileKind("a presentation", (".pptx", ".ppt", ".odp"), (), _TEXT)
OFFICE = FileKind("a document of an office program", (".odt", ".pages"), _OLD_OFFICE, _TEXT)
BOOK = FileKind("an e-book", (".epub", ".mobi"), (), "convert it to HTML or text")
ZIP = FileKind("a zip archive", (".zip", ".jar", ".whl"), _OFFICE, _UNPACK)
RTF = FileKind("a rich text file", (".rtf",), (b"{\\rtf",), _TEXT)
HTML = FileKind(
    "HTML with another ending", (), (b"<!doctype html", b"<html"), "set corpus.format to 'html'"
)
XML = FileKind("XML", (".xml",), (b"<?xml",), "convert it to text, HTML or JSON lines")
KINDS = (
    *(PDF, WORD, SHEET, SLIDES, OFFICE, BOOK, ZIP, RTF, XML),
    FileKind(
        "an archive",
        (".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".lz4"),
        (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a", b"\xfd7zXZ\x00", b"BZh"),
        f"{_UNPACK}, or compress each file of text with gzip or zstd",
    ),
    FileKind("compressed", (), (b"\x1f\x8b", b"\x28\xb5\x2f\xfd"), "end its name in .gz or .zst"),
    FileKind(
        "a picture",
        (
            ".png",
            ".jpg",
            ".jpeg",
            ".gif",
            ".webp",
            ".bmp",
            ".tif",
            ".tiff",
            ".svg",
            ".ico",
            ".heic",
        ),
        (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"BM"),
    ),
    FileKind(
        "sound",
        (".mp3", ".wav", ".ogg", ".flac", ".m4a"),
        (b"ID3", b"OggS", b"fLaC", b"RIFF"),
    ),
    FileKind("a video", (".mp4", ".mkv", ".avi", ".mov", ".webm"), (b"\x1aE\xdf\xa3",)),
    FileKind(
        "JSON",
        (".json",),
        (),
        "write one object a line, or set corpus.format to 'jsonl' if it has one a line",
    ),
    FileKind("a database", (".sqlite", ".db", ".duckdb"), (b"SQLite format 3",), "export a table"),
    FileKind(
        "a table of Arrow", (".arrow", ".feather"), (b"ARROW1", b"FEA1"), "save it as Parquet"
    ),
    FileKind("Parquet", (), (b"PAR1",), "set corpus.format to 'parquet'"),
    FileKind(
        "a pickle", (".pkl", ".pickle", ".npy", ".npz", ".pt"), (b"\x93NUMPY",), "save as CSV"
    ),
    FileKind("a program", (".exe", ".dll", ".so", ".class", ".pyc"), (b"\x7fELF", b"MZ")),
)
TEXT_LIKE = (PDF, RTF)
"""Kinds that may hold no byte that text cannot."""


def kind_by_name(name: str) -> FileKind | None:
    """Return the kind of a file's ending; None if it is unknown."""
    path = PurePosixPath(name.lower())
    suffix = path.with_suffix("").suffix if path.suffix in COMPRESSIONS else path.suffix
    return next((kind for kind in KINDS if suffix in kind.endings), None)


def kind_by_bytes(head: bytes) -> FileKind | None:
    """Return the kind of a file's first bytes; None if they are unknown."""
    if head.startswith(_OFFICE):
        return _zipped_kind(head)
    return next((kind for kind in KINDS if head.startswith(kind.marks or (b"\0" * HEAD,))), None)


def text_like_kind(head: bytes, format_name: str) -> FileKind | None:
    """Return the kind of first bytes that could be text, but are not meant to be read so."""
    kinds = (*TEXT_LIKE, HTML, XML) if format_name == "text" else TEXT_LIKE
    begin = head.removeprefix(codecs.BOM_UTF8).lstrip()[:HEAD].lower()
    return next(
        (kind for kind in kinds if begin.startswith(tuple(map(bytes.lower, kind.marks)))), None
    )


def describe_kind(kind: FileKind) -> str:
    """Return what a file is, what to do, and the formats that are read, for an error."""
    return f"is {kind.name}, which is not read: {kind.remedy}; {describe_formats()}"


def describe_formats() -> str:
    """Return the formats that are read, with their endings."""
    known = ((name, each.endings) for name, each in known_formats().items() if each.endings)
    formats = (f"{name} ({' '.join(endings)})" for name, endings in known)
    return (
        f"formats that are read: {', '.join(formats)}, each also with {' or '.join(COMPRESSIONS)}"
    )


def count_endings(names: Iterable[str]) -> dict[str, int]:
    """Return how many names have each ending, the most frequent first."""
    counts = Counter(PurePosixPath(name.lower()).suffix or _NO_ENDING for name in names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def describe_left_out(names: Iterable[str]) -> str:
    """Return how many files are left out, with some of their names and their endings."""
    names = list(names)
    shown = ", ".join(names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    count = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
    endings = describe_endings(count_endings(names))
    return f"{count} left out ({endings}): {shown}{more}"


def describe_endings(counts: Mapping[str, int]) -> str:
    """Return counts of endings in words."""
    items = list(counts.items())
    parts = [f"{count:,} {ending}" for ending, count in items[:SHOWN_ENDINGS]]
    if rest := sum(count for _, count in items[SHOWN_ENDINGS:]):
        parts.append(f"{rest:,} others")
    return ", ".join(parts)


def _zipped_kind(head: bytes) -> FileKind:
    marks = {b"word/": WORD, b"xl/": SHEET, b"ppt/": SLIDES, b"epub+zip": BOOK}
    marks |= {b"opendocument.text": OFFICE, b"opendocument.spreadsheet": SHEET}
    return next((kind for mark, kind in marks.items() if mark in head), ZIP)
