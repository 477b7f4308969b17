"""Prose of docstrings, without code, parameter lists and markup.

Not docstring_parser: on a quarter of numpy's and pandas' files its descriptions lack a fifth of the
prose (sections such as Notes) and leave code, headings and markup in the text.
"""

from __future__ import annotations

import inspect
import itertools

import regex

_NO_PROSE = frozenset(
    """args arguments attribute attributes author authors call-arguments doctest doctests example
    examples fields input input-shape inputs keys keyword-args keyword-arguments keywords kwargs
    methods other-parameters output output-shape outputs parameter parameters params properties
    raises receives reference references return returns see-also see-more shape shapes todo todos
    usage warns yield yields""".split()  # noqa: SIM905
)
"""Sections that contain names, code or literature."""
_ADMONITION = regex.compile(
    r"\s*\.\. ?(?:attention|caution|danger|hint|important|note|tip|warning):: *", regex.IGNORECASE
)
_VERSIONS = frozenset({"deprecated", "versionadded", "versionchanged", "admonition"})
"""Directives whose first line is no prose but whose content is."""
_UNDERLINE = regex.compile(r"\s*([=\-~^\"'#*+])\1{2,}\s*")
_HEADING = regex.compile(
    r"\s*#*\s*\**([A-Z][\w /-]{2,30}?)\**\s*::?\**\s*|\s*#+ ([\w /-]{2,40})\s*"
)
_FIELD = regex.compile(r"\s*(?::[a-zA-Z][^:`\n]{0,60}:(?:\s|$)|@(?:param|return|type|raise)\b)")
_DIRECTIVE = regex.compile(r"\s*\.\.\s*(?:([\w:-]+?)::|\[|_|\||\w|$)")
_BULLET = regex.compile(r"\s*(?:[-*+•]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")
_CODE = regex.compile(r"\s*(?:>>>|\.\.\. |\$ |In \[\d|#!)")
_TABLE = regex.compile(r"\s*(?:[=\-+|][=\-+| ]{4,}|\|.*\||.* \| .*)\s*")
_DEFINITION = regex.compile(
    r"\s*(?:[\w.*`\"', ]{1,60}\s:\s|[\w.*`\"]{1,60}\s?\((?:[^()]|\([^()]*\))*\)\s?:).*"
)
"""An item of a list of parameters: `name : type` or `name (type): text`."""
_MARKUP = (
    (regex.compile(r"!?\[([^\]\[]+)\]\((?:[^()\s]|\([^()]*\))*\)"), r"\1"),
    (regex.compile(r"(?::[a-zA-Z:+-]+:)?`([^`<>]+?)\s*<[^`<>]*>`_{0,2}"), r"\1"),
    (regex.compile(r":[a-zA-Z:+-]+:`~(?:[^`]*\.)?([^`.]+)`"), r"\1"),
    (regex.compile(r":[a-zA-Z:+-]+:`[!.]?([^`]*)`"), r"\1"),
    (regex.compile(r"\[`~(?:[^`]*\.)?([^`.]+)`\]|\[`([^`]+)`\]"), r"\1\2"),
    (regex.compile(r"``?`?([^`]+)`?``?(?:_{1,2}(?!\w))?"), r"\1"),
    (regex.compile(r"(?<!\w)\*\*(\S(?:[^*]*\S)?)\*\*(?!\w)"), r"\1"),
    (regex.compile(r"(?<![\w*])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"), r"\1"),
    (regex.compile(r"\s*\[(?:\d+|#\w*|\w+\d{4}\w?)\]_"), ""),
    (regex.compile(r"\|(\w+)\|"), r"\1"),
    (regex.compile(r"\\(?=[*_`|\s])"), ""),
    (regex.compile(r"::\s*$"), ":"),
)
_WORD = regex.compile(r"(?<![\w.])\p{L}[\p{L}'’-]+(?![\w(=])")


def prose_paragraphs(docstring: str) -> list[str]:
    """Return the paragraphs of prose in a docstring, each on one line; list items are paragraphs.

    Reads the styles of NumPy, Google and Sphinx, reStructuredText and Markdown.
    """
    lines = inspect.cleandoc(docstring).expandtabs().split("\n")
    lines = [_ADMONITION.sub("", line) for line in lines]
    paragraphs = (plain_text(" ".join(block)) for block in _blocks(_prose_lines(lines)))
    return [paragraph for paragraph in paragraphs if _is_prose(paragraph)]


def plain_text(text: str) -> str:
    """Return a paragraph without inline markup; the marked text stays."""
    for pattern, plain in _MARKUP:
        text = pattern.sub(plain, text)
    return " ".join(text.split())


def _is_prose(text: str) -> bool:
    """Return whether a text has two words that are no code, and consists of words by 40 %."""
    words = _WORD.findall(text)
    return len(words) >= 2 and sum(map(len, words)) >= 0.4 * len(text.replace(" ", ""))


def _prose_lines(lines: list[str]) -> list[str]:
    """Return the lines without sections, directives and blocks that contain no prose."""
    prose: list[str] = []
    start = 0
    while start < len(lines):
        skipped = _skip(lines, start, prose)
        if skipped:
            prose.append("")
            start += skipped
        else:
            prose.append(lines[start])
            start += 1
    return prose


def _skip(lines: list[str], at: int, before: list[str]) -> int:
    """Return how many lines from `at` on are no prose; 0 if that line may be prose."""
    line, indent = lines[at], _indent(lines[at])
    if not line.strip():
        return 0
    if at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1]) and not _is_rule(line):
        return 2 + (_section(lines, at + 2) if _is_listing(line) else 0)
    if line.lstrip().startswith(("```", "~~~")):
        return _fence(lines, at)
    if _CODE.match(line):
        return _until_blank(lines, at)
    if _is_rule(line):
        return 1 if _UNDERLINE.fullmatch(line) else _until_blank(lines, at)
    if _FIELD.match(line):
        return 1 + _deeper(lines, at + 1, indent)
    if heading := _HEADING.fullmatch(line):
        return _skip_heading(lines, at, heading)
    if directive := _DIRECTIVE.match(line):
        has_prose = (directive[1] or "").lower() in _VERSIONS
        return 1 if has_prose else 1 + _deeper(lines, at + 1, indent)
    return _deeper(lines, at, indent - 1) if indent and _ends_with_colons(before) else 0


def _skip_heading(lines: list[str], at: int, heading: regex.Match[str]) -> int:
    """Return how many lines to skip at a heading: Google's style with a colon, else Markdown's."""
    if _is_listing(heading[1] or heading[2]):
        return 1 + _deeper(lines, at + 1, _indent(lines[at]))
    return 1 if heading[2] else 0


def _is_rule(line: str) -> bool:
    return bool(_TABLE.fullmatch(line) or _UNDERLINE.fullmatch(line))


def _is_listing(heading: str) -> bool:
    return "-".join(heading.strip(" #*:").lower().split()) in _NO_PROSE


def _section(lines: list[str], at: int) -> int:
    """Return the number of lines up to the next underlined heading."""
    for end in range(at, len(lines) - 1):
        if lines[end].strip() and _UNDERLINE.fullmatch(lines[end + 1]):
            return end - at
    return len(lines) - at


def _fence(lines: list[str], at: int) -> int:
    mark = lines[at].lstrip()[:3]
    for end in range(at + 1, len(lines)):
        if lines[end].lstrip().startswith(mark):
            return end - at + 1
    return len(lines) - at


def _deeper(lines: list[str], at: int, indent: int) -> int:
    """Return the number of lines that are blank or deeper than `indent`."""
    inner = itertools.takewhile(lambda line: not line.strip() or _indent(line) > indent, lines[at:])
    return sum(1 for _ in inner)


def _until_blank(lines: list[str], at: int) -> int:
    return sum(1 for _ in itertools.takewhile(str.strip, lines[at:]))


def _ends_with_colons(lines: list[str]) -> bool:
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.rstrip().endswith("::")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blocks(lines: list[str]) -> list[list[str]]:
    """Return paragraphs, which end at a blank line, a list item or a smaller indent."""
    blocks: list[list[str]] = [[]]
    indent = 0
    for line in lines:
        bullet = _BULLET.match(line)
        if not line.strip() or bullet or (blocks[-1] and _indent(line) < indent):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line[bullet.end() :].strip() if bullet else line.strip())
            indent = _indent(line)
    return [block for block in blocks if block and not _DEFINITION.fullmatch(block[0])]
