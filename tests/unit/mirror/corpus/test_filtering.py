"""Filtering of documents: kept, rejected and cleaned rows."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.corpus.filtering import MAX_REJECT, DocumentFilter, text_digests
from mirror.corpus.reasons import BROKEN_TEXT, EMPTY, LEFT_OUT, OTHER_LANGUAGE, TOO_LONG
from mirror.documents import Document, Title
from tests.fixtures.recipes import make_recipe

FRENCH = (
    "Le bateau traverse la rivière chaque matin, et le passeur regarde les enfants qui attendent "
    "sur la rive avec leurs paniers pleins de pommes et de pain frais pour le marché."
)


def make_filter(**corpus: object) -> DocumentFilter:
    files = {"source": "files", "paths": ["none"], "exclude_sources": ["skip"]}
    return DocumentFilter(make_recipe(corpus=files | corpus))


def rows(document_filter: DocumentFilter, *documents: Document) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document_filter.filter(documents).rows.to_pylist()
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
def test_lone_surrogates_are_replaced_in_accepted_and_rejected_rows(document: Document) -> None:
    for row in rows(make_filter(), document):
        assert row["text"].startswith("oar")
        row["source"].encode()


def test_text_of_excluded_rows_is_cleaned() -> None:
    [row] = rows(make_filter(), Document("one\u00a0oar\ud800\n two", "skip this"))
    assert (row["text"], row["reason"]) == ("one oar\ufffd two", LEFT_OUT)


def test_raw_lines_are_unchanged() -> None:
    line = "  caf\u00e9\u00a0 &amp; \ufb01n\u2028 "
    keep_raw = make_filter(split_into="lines", keep_raw=True, max_characters=20)
    documents = [Document(line, "a"), Document("x" * 21, "a"), Document("a \ud800", "a")]
    found = [(row["text"], row["reason"]) for row in rows(keep_raw, *documents)]
    assert found == [(line, ""), ("x" * 21, TOO_LONG), ("a \ufffd\ufffd\ufffd", BROKEN_TEXT)]
    assert rows(make_filter(split_into="lines"), documents[0])[0]["text"] == "caf\u00e9 & fin"


def test_rows_have_the_number_of_their_document_and_their_position() -> None:
    documents = [
        Document("One oar. Two oars.", "a"),
        Document("", "b", occurrences=3),
        Document("gone", "c", occurrences=3, fault="no text"),
        Document("A boat. " + "Long " * 300, "b", occurrences=2),
    ]
    found = rows(make_filter(), *documents)
    assert [(row["source"], row["document"], row["position"], row["count"]) for row in found] == [
        ("a", 0, 0, 1),
        ("a", 0, 1, 1),
        ("b", 1, 0, 3),
        ("c", 2, 0, 1),
        ("b", 3, 0, 2),
        ("b", 3, 1, 2),
    ]
    assert [row["reason"] for row in found] == ["", "", EMPTY, "no text", "", TOO_LONG]
    assert [len(row["text"]) for row in found] == [8, 9, 0, 4, 7, MAX_REJECT]


def test_digests_and_titles_are_of_accepted_rows() -> None:
    documents = [
        Document("One oar. Two\ufffd oars.", "a", title="How many?", body="One  oar."),
        Document("One oar.", "skip", title="How many?", body="One."),
        Document("Two oars.", "a", title="Broken\ufffd?", body="One."),
    ]
    filtered = make_filter().filter(documents)
    assert filtered.digests == text_digests(["One oar.", "Two oars."])
    assert filtered.titles == (Title(0, "How many?", "One oar."),)


def test_each_document_is_filtered_independently() -> None:
    documents = [Document(text, "a") for text in (FRENCH, "One oar. Two oars.", FRENCH, "", "b")]
    together = [(row["text"], row["reason"]) for row in rows(make_filter(), *documents)]
    apart = [(row["text"], row["reason"]) for one in documents for row in rows(make_filter(), one)]
    assert together == apart
    assert [reason for _, reason in together].count(OTHER_LANGUAGE) == 2
