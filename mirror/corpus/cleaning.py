"""Repair of text: mis-decoded characters, compatibility forms, control characters, white space."""

from __future__ import annotations

import re
import unicodedata

import ftfy
import regex
from ftfy.badness import is_bad

BROKEN = "\ufffd"
"""U+FFFD, the replacement for bytes that cannot be decoded."""

_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and Indic scripts need."""
_INVISIBLE = regex.compile(rf"[\p{{Cc}}\p{{Cf}}\p{{Co}}\p{{Cn}}--\n\t{_JOINERS}]", regex.V1)
_LINE_END = regex.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PLAIN = bytes({*range(ord(" "), ord("~") + 1), ord("\n")} - {ord("&")})
"""Printable ASCII without `&`, which may begin an HTML entity: such text needs no repair."""
_SCRIPTS = (range(0xA1, 0x530), range(0x1E00, 0x2000), range(0x2010, 0x2300))
"""Latin, Greek, Cyrillic, punctuation and symbols: no character composes with the one before it."""
_STABLE = {"Ll", "Lu", "Lo", "Pd", "Pi", "Pf", "Ps", "Pe", "Po", "Sc", "Sm", "So"}
"""Categories of characters that are neither invisible nor combining."""


def _stable_characters() -> str:
    """Return the characters that need repair only in a suspicious sequence.

    Without those that ftfy finds suspicious next to a space or another character of ASCII.
    """
    return "".join(
        character
        for character in map(chr, (code for script in _SCRIPTS for code in script))
        if unicodedata.category(character) in _STABLE
        and unicodedata.is_normalized("NFKC", character)
        and character not in "ŒœÂÃ"
    )


_UNSTABLE = re.compile(f"[^\n -%'-~{_stable_characters()}]")
_ADJACENT = re.compile(r"[^\x00-\x7f]{2}")
"""What every suspicious sequence of stable characters has: two of them beyond ASCII."""
_FIXES = ftfy.TextFixerConfig(normalization="NFKC", uncurl_quotes=False, explain=False)


def clean_text(text: str) -> str:
    """Return a text repaired, in NFKC, without invisible characters; line ends are line feeds.

    Lone surrogates become U+FFFD, as do bytes that could not be decoded.
    """
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        return text
    if not _UNSTABLE.search(text) and not (_ADJACENT.search(text) and is_bad(text)):
        return text  # as ftfy would return it, several times faster
    lines = _LINE_END.sub("\n", text)
    fixed = _INVISIBLE.sub("", ftfy.fix_text(lines, _FIXES))
    return unicodedata.normalize("NFKC", _LINE_END.sub("\n", fixed))


def clean_line(text: str) -> str:
    """Return a text as one line, with single spaces and none at its ends."""
    if text.isprintable() and "  " not in text:
        return text.strip()  # the space is the only printable white space
    return " ".join(text.split())
