"""What becomes of a document."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.corpus.dedup import text_digests
from mirror.corpus.filtering import (
    BROKEN_TEXT,
    EMPTY,
    LEFT_OUT,
    MOST_REJECT,
    OTHER_LANGUAGE,
    TOO_LONG,
    DocumentFilter,
)
from mirror.corpus.retrieval_pairs import Passage
from mirror.documents import Document
from mirror.recipe import parse_recipe

FRENCH = (
    "Le bateau traverse la rivière chaque matin, et le passeur regarde les enfants qui attendent "
    "sur la rive avec leurs paniers pleins de pommes et de pain frais pour le marché."
)


def sifter(**corpus: object) -> DocumentFilter:
    content = {
        "language": "en",
        "domain": "test",
        "level": "sentence",
        "corpus": {"source": "files", "paths": ["none"], "exclude_sources": ["skip"], **corpus},
        "base": {"path": "models/none"},
        "evaluation": {"benchmarks": ["none"]},
        "registry": {"model": "none"},
    }
    return DocumentFilter(parse_recipe(content, name="test", place="test"))


def rows(sifter: DocumentFilter, *documents: Document) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sifter.sift(documents).rows.to_pylist()
    return found


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
    for row in rows(sifter(), document):
        assert row["text"].startswith("oar")
        row["source"].encode()


def test_rows_left_out_keep_their_text_cleaned() -> None:
    [row] = rows(sifter(), Document("one\u00a0oar\ud800\n two", "skip this"))
    assert (row["text"], row["reason"]) == ("one oar\ufffd two", LEFT_OUT)


def test_verbatim_lines_stand_as_they_are() -> None:
    line = "  caf\u00e9\u00a0 &amp; \ufb01n\u2028 "
    keep_raw = sifter(split_into="lines", keep_raw=True, max_characters=20)
    documents = [Document(line, "a"), Document("x" * 21, "a"), Document("a \ud800", "a")]
    found = [(row["text"], row["reason"]) for row in rows(keep_raw, *documents)]
    assert found == [(line, ""), ("x" * 21, TOO_LONG), ("a \ufffd\ufffd\ufffd", BROKEN_TEXT)]
    assert rows(sifter(split_into="lines"), documents[0])[0]["text"] == "caf\u00e9 & fin"


def test_rows_say_which_document_they_are_of_and_where_they_stood() -> None:
    documents = [
        Document("One oar. Two oars.", "a"),
        Document("", "b", occurrences=3),
        Document("gone", "c", occurrences=3, fault="no text"),
        Document("A boat. " + "Long " * 300, "b", occurrences=2),
    ]
    found = rows(sifter(), *documents)
    assert [(row["source"], row["document"], row["position"], row["count"]) for row in found] == [
        ("a", 0, 0, 1),
        ("a", 0, 1, 1),
        ("b", 1, 0, 3),
        ("c", 2, 0, 1),
        ("b", 3, 0, 2),
        ("b", 3, 1, 2),
    ]
    assert [row["reason"] for row in found] == ["", "", EMPTY, "no text", "", TOO_LONG]
    assert [len(row["text"]) for row in found] == [8, 9, 0, 4, 7, MOST_REJECT]


def test_digests_and_passages_are_of_what_may_be_kept() -> None:
    documents = [
        Document("One oar. Two\ufffd oars.", "a", query="How many?", answer="One  oar."),
        Document("One oar.", "skip", query="How many?", answer="One."),
        Document("Two oars.", "a", query="Broken\ufffd?", answer="One."),
    ]
    sifted = sifter().sift(documents)
    assert sifted.digests == text_digests(["One oar.", "Two oars."])
    assert sifted.passages == (Passage(0, "a", "How many?", "One oar."),)


def test_what_becomes_of_a_document_depends_on_no_other() -> None:
    documents = [Document(text, "a") for text in (FRENCH, "One oar. Two oars.", FRENCH, "", "b")]
    together = [(row["text"], row["reason"]) for row in rows(sifter(), *documents)]
    apart = [(row["text"], row["reason"]) for one in documents for row in rows(sifter(), one)]
    assert together == apart
    assert [reason for _, reason in together].count(OTHER_LANGUAGE) == 2
