"""Guess of the encoding of files that are not in UTF-8, by their bytes and the language."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from mirror.corpus.file_formats import known_formats
from mirror.corpus.input_files import InputFile
from mirror.corpus.language_id import identify_languages, main_language, passages_of
from mirror.corpus.text_lines import encoding_by_mark, first_bytes

_ENCODINGS = {
    "ru": ("cp1251",),
    "ja": ("shift_jis", "euc_jp"),
    "zh": ("gb18030", "big5"),
    "pl": ("cp1250",),
    "tr": ("cp1254",),
    "ar": ("cp1256",),
    "et": ("cp1257",),
}


def find_encoding(files: Sequence[InputFile], language: str) -> str | None:
    """Return the encoding of the first file that is not in UTF-8; None if all are."""
    for file in files:
        if known_formats()[file.format].states_encoding:
            continue
        head = first_bytes(file)
        if mark := encoding_by_mark(head):
            return mark
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            if b"\0" not in head:  # else it is no text, which reading it reports
                return _likely_encoding(head, language)
    return None


def _likely_encoding(head: bytes, language: str) -> str:
    """Return the encoding in which bytes look most like a language."""
    names = (*_ENCODINGS.get(language, ()), "iso-8859-1", "cp1252")
    if not any(0x80 <= byte < 0xA0 for byte in head):
        names = tuple(name for name in names if name != "cp1252")
    else:
        names = tuple(name for name in names if name != "iso-8859-1")
    scores = {}
    for name in names:
        text = codecs.getincrementaldecoder(name)("replace").decode(head)
        parts = passages_of(text.split("\n"))
        scores[name] = identify_languages(parts)[main_language(language)] / max(1, len(parts))
    return max(names, key=lambda name: scores[name])
