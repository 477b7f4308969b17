"""What becomes of a document."""

from __future__ import annotations

import pytest

from mirror.documents import Document
from mirror.recipe import parse_recipe
from mirror.sifting import BROKEN_TEXT, LEFT_OUT, TOO_LONG, Row, Sifter


def sifter(**corpus: object) -> Sifter:
    content = {
        "language": "en",
        "domain": "test",
        "level": "sentence",
        "corpus": {"source": "files", "paths": ["none"], "leave_out": ["skip"], **corpus},
        "base": {"path": "models/none"},
        "evaluation": {"benchmarks": ["none"]},
        "registry": {"model": "none"},
    }
    return Sifter(parse_recipe(content, name="test", place="test"))


@pytest.mark.parametrize(
    "document",
    [
        Document("oar \ud800", "skip this"),
        Document("oar \ud800", "a", fault="no text"),
        Document("oar \ud800", "a"),
        Document("oar", "a \ud800"),
    ],
)
def test_lone_surrogates_go_wherever_the_document_ends(document: Document) -> None:
    sifted = sifter().sift(document)
    for text in (sifted.source, *(row.text for row in sifted.rows)):
        text.encode()


def test_rows_left_out_keep_their_text_cleaned() -> None:
    sifted = sifter().sift(Document("one\u00a0oar\ud800\n two", "skip this"))
    assert sifted.rows == (Row("one oar\ufffd two", LEFT_OUT),)


def test_verbatim_lines_stand_as_they_are() -> None:
    line = "  caf\u00e9\u00a0 &amp; \ufb01n\u2028 "
    verbatim = sifter(unit="line", verbatim=True, max_characters=20)
    assert verbatim.sift(Document(line, "a")).rows == (Row(line),)
    assert sifter(unit="line").sift(Document(line, "a")).rows == (Row("caf\u00e9 & fin"),)
    assert [row.fault for row in verbatim.sift(Document("x" * 21, "a")).rows] == [TOO_LONG]
    assert [row.fault for row in verbatim.sift(Document("a \ud800", "a")).rows] == [BROKEN_TEXT]
