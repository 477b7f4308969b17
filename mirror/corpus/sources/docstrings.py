"""Corpus source `docstrings`: docstrings of installed packages, parsed and never imported."""

from __future__ import annotations

import ast
import importlib.metadata
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mirror.corpus.docstring_text import prose_paragraphs
from mirror.corpus_config import CorpusSection, CorpusSource, register_source
from mirror.documents import MAX_BYTES, OVERSIZED, Document
from mirror.errors import CorpusError
from mirror.hashing import digest_of_json
from mirror.python_source import parse_python

if TYPE_CHECKING:
    from mirror.recipe import Recipe

NOT_PYTHON = "not Python"
LEAST_ANSWER = 40
MOST_QUERY = 300
MOST_ANSWER = 1_000
"""Characters of a passage's parts; an answer is cut between words."""

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
"""Attributes with the statements inside a statement."""
_LEFT_OUT = frozenset({"tests", "test", "testing", "_vendor", "vendor", "vendored", "_vendored"})
"""Folders with docstrings of tests or of another package."""


class DocstringsSection(CorpusSection):
    """Settings of source `docstrings`."""

    packages: tuple[str, ...] = ()
    """Distributions to read; all that are installed if empty."""


class Docstrings(CorpusSource[DocstringsSection]):
    """Docstrings of installed distributions."""

    name = "docstrings"
    settings = DocstringsSection

    def check(self, section: DocstringsSection, recipe: Recipe) -> None:
        """Raise CorpusError if a distribution is not installed."""
        find_distributions(section.packages)

    def read(self, section: DocstringsSection, recipe: Recipe) -> Iterator[Document]:
        """Yield every docstring as a document, in order of distributions, files and lines.

        A docstring without prose is an empty document; a file that is not Python has a `fault`.
        """
        for distribution in find_distributions(section.packages):
            name = _name(distribution)
            for path in _python_files(distribution):
                located = Path(str(distribution.locate_file(path)))
                yield from _read_file(located, f"{name}: {path.as_posix()}", name)

    def digests(self, section: DocstringsSection, recipe: Recipe) -> dict[str, str]:
        """Return digests of each distribution's name, version and list of files with hashes."""
        return {
            _name(found): digest_of_json([_name(found), found.version, found.read_text("RECORD")])
            for found in find_distributions(section.packages)
        }

    def describe(self, section: DocstringsSection) -> str:
        """Return the names of the packages."""
        which = ", ".join(section.packages) or "the installed Python packages"
        return f"docstrings of {which}"

    def label(self, section: DocstringsSection) -> str:
        """Return a short form for captions."""
        return "docstrings of installed packages"


def find_distributions(packages: tuple[str, ...]) -> list[importlib.metadata.Distribution]:
    """Return the distributions of those names, or all that are installed, sorted by name.

    Raises:
        CorpusError: one is not installed.
    """
    if not packages:
        every = {_name(found): found for found in importlib.metadata.distributions()}
        return [every[name] for name in sorted(every)]
    found, missing = {}, []
    for package in packages:
        try:
            distribution = importlib.metadata.distribution(package)
            found[_name(distribution)] = distribution
        except (importlib.metadata.PackageNotFoundError, ValueError):
            missing.append(package)
    if missing:
        raise CorpusError(
            f"corpus.packages names distributions that are not installed: {', '.join(missing)}; "
            "install or remove them (`pip list` shows the names)"
        )
    return [found[name] for name in sorted(found)]


def _python_files(distribution: importlib.metadata.Distribution) -> list[PurePosixPath]:
    paths = sorted({PurePosixPath(file.as_posix()) for file in distribution.files or ()})
    return [
        path
        for path in paths
        if path.suffix == ".py" and ".." not in path.parts and _LEFT_OUT.isdisjoint(path.parts)
    ]


def _read_file(path: Path, position: str, source: str) -> Iterator[Document]:
    try:
        if path.stat().st_size > MAX_BYTES:
            yield Document(position, source, fault=OVERSIZED)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parse_python(path.read_bytes())
    except FileNotFoundError:
        # A distribution may list what pip did not install.
        return
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        yield Document(position, source, fault=NOT_PYTHON)
        return
    for node in _documented(tree):
        text = ast.get_docstring(node, clean=False)
        if text is not None:
            yield docstring_document(text, source)


def _documented(tree: ast.Module) -> Iterator[_Documented]:
    """Yield modules, classes and functions in the order of their lines."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Documented):
            yield node
        inner = (getattr(node, name, ()) for name in _BLOCKS)
        waiting.extend(reversed([part for block in inner for part in block]))


def docstring_document(docstring: str, source: str) -> Document:
    """Return the prose, one paragraph per line, and a title if the text is long enough."""
    paragraphs = prose_paragraphs(docstring)
    text = "\n".join(paragraphs)
    if len(paragraphs) < 2:
        return Document(text, source)
    title, body = paragraphs[0], " ".join(paragraphs[1:])
    if len(title) > MOST_QUERY or len(body) < LEAST_ANSWER:
        return Document(text, source)
    return Document(text, source, title=title, body=_cut(body))


def _cut(text: str) -> str:
    if len(text) <= MOST_ANSWER:
        return text
    return text[: MOST_ANSWER + 1].rpartition(" ")[0] or text[:MOST_ANSWER]


def _name(distribution: importlib.metadata.Distribution) -> str:
    name = distribution.metadata["Name"] or ""
    return name.lower().replace("_", "-").replace(".", "-")


register_source(Docstrings())
