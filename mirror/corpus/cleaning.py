"""Repair of text: mis-decoded characters, compatibility forms, control characters, white space."""

from __future__ import annotations

import unicodedata

import ftfy
import regex

BROKEN = "\ufffd"
"""U+FFFD, the replacement for bytes that cannot be decoded."""

_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and Indic scripts need."""
_INVISIBLE = regex.compile(rf"[\p{{Cc}}\p{{Cf}}\p{{Co}}\p{{Cn}}--\n\t{_JOINERS}]", regex.V1)
_LINE_END = regex.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PLAIN = bytes({*range(ord(" "), ord("~") + 1), ord("\n")} - {ord("&")})
"""Printable ASCII without `&`, which may begin an HTML entity: such text needs no repair."""
_FIXES = ftfy.TextFixerConfig(normalization="NFKC", uncurl_quotes=False, explain=False)


def clean_text(text: str) -> str:
    """Return a text repaired, in NFKC, without invisible characters; line ends are line feeds.

    Lone surrogates become U+FFFD, as do bytes that could not be decoded.
    """
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        return text
    lines = _LINE_END.sub("\n", text)
    fixed = _INVISIBLE.sub("", ftfy.fix_text(lines, _FIXES))
    return unicodedata.normalize("NFKC", _LINE_END.sub("\n", fixed))


def clean_line(text: str) -> str:
    """Return a text as one line, with single spaces and none at its ends."""
    return " ".join(text.split())
