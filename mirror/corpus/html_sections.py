"""Sections of HTML: headings and the paragraphs below them, without code, tables and navigation.

Python's own parser suffices, because no tree is needed: selectolax takes minutes for a page of
200,000 elements that are never closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import NamedTuple

import regex

from mirror.corpus.input_files import InputFile
from mirror.corpus.text_lines import read_text
from mirror.documents import OVERSIZED, Document

UNREADABLE = "not in its format"
HEADINGS = frozenset("h1 h2 h3 h4 h5 h6".split())  # noqa: SIM905
NO_TEXT_TAGS = frozenset(
    """audio button canvas footer header iframe math nav noscript object option pre script select
    style svg table template textarea title video""".split()  # noqa: SIM905
)
_INLINE = frozenset(
    """a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q rb rp
    rt ruby s samp small span strike strong sub sup time tt u var wbr""".split()  # noqa: SIM905
)
_VOID = frozenset(
    "area base br col embed hr img input link meta source track wbr".split()  # noqa: SIM905
)
_NO_TEXT_CLASSES = frozenset(
    """admonition-title citation citation-reference field-list footnote footnote-reference
    headerlink math sig sphinxsidebar system-message toctree-wrapper""".split()  # noqa: SIM905
)
"""Classes that docutils and Sphinx give to what is no prose."""
_NO_TEXT_ROLES = frozenset(
    """banner contentinfo doc-biblioentry doc-biblioref doc-footnote doc-noteref doc-toc navigation
    search""".split()  # noqa: SIM905
)
_PERMALINKS = frozenset("#¶§🔗")
"""Texts of links from a heading to itself."""
_LETTER = regex.compile(r"[\p{L}\p{M}]")


class TextSection(NamedTuple):
    """A heading and the paragraphs up to the next one."""

    heading: str
    """Empty before the first heading."""
    paragraphs: list[str]


def html_sections(text: str, no_text: frozenset[str] = NO_TEXT_TAGS) -> list[TextSection]:
    """Return the sections of a page, or of its `main` element if it has one.

    A paragraph that only consists of links is navigation.

    Args:
        text: HTML.
        no_text: tags whose content is left out.
    """
    parser = _SectionParser(no_text)
    parser.feed(text)
    parser.close()
    return parser.sections()


def section_documents(sections: list[TextSection], source: str) -> Iterator[Document]:
    """Yield a document for each section; one without text is empty, as is a file without sections.

    A heading such as a version and its date is no title, and neither has such a text one.
    """
    for heading, paragraphs in sections or [TextSection("", [])]:
        yield document_with_heading(heading, paragraphs, source)


def document_with_heading(heading: str, paragraphs: list[str], source: str) -> Document:
    """Return the paragraphs as a document, with the heading as title if both consist of letters."""
    text, body = "\n".join(paragraphs), " ".join(paragraphs)
    if _consists_of_letters(heading) and _consists_of_letters(body):
        return Document(text, source, title=heading, body=body)
    return Document(text, source)


def _consists_of_letters(text: str) -> bool:
    return 2 * len(_LETTER.findall(text)) > len("".join(text.split()))


def read_sections(
    file: InputFile, encoding: str, split: Callable[[str], list[TextSection]]
) -> Iterator[Document]:
    """Yield the documents of a file that `split` divides; it raises ValueError if it cannot.

    Raises:
        CorpusError: the file cannot be read, is binary, or is in another encoding.
    """
    text = read_text(file, encoding)
    if text is None:
        yield Document(file.name, file.name, fault=OVERSIZED)
        return
    try:
        sections = split(text)
    except (ValueError, RecursionError):
        yield Document(file.name, file.name, fault=f"{UNREADABLE}: {file.format}")
        return
    yield from section_documents(sections, file.name)


class _SectionParser(HTMLParser):
    """Collector of headings and paragraphs."""

    def __init__(self, no_text: frozenset[str]) -> None:
        super().__init__()
        self._no_text = no_text
        self._sections = {False: [TextSection("", [])], True: [TextSection("", [])]}
        """The sections outside and inside `main`."""
        self._open: list[tuple[str, str]] = []
        """Tags of open elements, each with what it does to its text: a key of `_within`."""
        self._tags: Counter[str] = Counter()
        self._within: Counter[str] = Counter()
        self._text: list[str] = []
        self._linked = 0
        """Characters of the text that are links."""

    def sections(self) -> list[TextSection]:
        """Return the sections found."""
        self._end_block()
        inside = self._sections[True]
        sections = inside if len(inside) > 1 or inside[0].paragraphs else self._sections[False]
        return sections if sections[0].paragraphs else sections[1:]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._text.append(" ")
        elif tag == "a" and self._open and self._open[-1][0] == "a":
            self.handle_endtag("a")
        elif tag not in _INLINE:
            self._close_implied(tag)
            self._end_block()
        if tag not in _VOID:
            effect = self._effect(tag, dict(attrs))
            self._open.append((tag, effect))
            self._tags[tag] += 1
            self._within[effect] += 1

    def handle_endtag(self, tag: str) -> None:
        if not self._tags[tag]:
            return
        if tag not in _INLINE:
            self._end_block()
        while True:
            closed, effect = self._open.pop()
            self._tags[closed] -= 1
            self._within[effect] -= 1
            if closed == tag:
                return

    def handle_data(self, data: str) -> None:
        is_permalink = self._within["link"] and data.strip() in _PERMALINKS
        if not self._within["no text"] and not is_permalink:
            self._text.append(data)
            if self._within["link"]:
                self._linked += len("".join(data.split()))

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Read `<![...>` as browsers do, as a comment; the parser would raise AssertionError."""
        return self.parse_bogus_comment(i)

    def _effect(self, tag: str, attributes: dict[str, str | None]) -> str:
        role = attributes.get("role")
        classes = (attributes.get("class") or "").split()
        if tag in HEADINGS:
            return "heading"
        if tag == "main" or role == "main":
            return "main"
        if (
            (tag in self._no_text and not (tag == "header" and self._is_content()))
            or role in _NO_TEXT_ROLES
            or "hidden" in attributes
            or not _NO_TEXT_CLASSES.isdisjoint(classes)
        ):
            return "no text"
        return "link" if tag == "a" and "href" in attributes else ""

    def _is_content(self) -> bool:
        return bool(self._within["main"] or self._tags["article"])

    def _close_implied(self, tag: str) -> None:
        """Close a heading or a paragraph that another block ends."""
        last = self._open[-1][0] if self._open else ""
        if last == "p" or (last in HEADINGS and tag not in {"div", "hr"}):
            self.handle_endtag(last)

    def _end_block(self) -> None:
        text = " ".join("".join(self._text).split())
        linked, self._linked = self._linked, 0
        self._text.clear()
        if not text:
            return
        sections = self._sections[self._within["main"] > 0]
        if self._within["heading"]:
            sections.append(TextSection(text, []))
        elif linked < len(text.replace(" ", "")) and not self._tags["header"]:
            sections[-1].paragraphs.append(text)
