"""Own words of a mail: subject and body without prefixes, quotations and signature."""

from __future__ import annotations

from itertools import takewhile

import regex

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
