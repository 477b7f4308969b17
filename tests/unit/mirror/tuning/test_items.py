"""Items of tuning and their two texts."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.tuning.items import (
    DocumentItem,
    ItemFiles,
    TextPair,
    ViewPair,
    crops,
    read_items,
    view_pair,
)
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning

LETTERS = tuple("abcdefgh")


def settings(**changes: Any) -> TuningSection:
    return TuningSection.model_validate(fill_tuning("sentence", changes))


def test_documents_are_read_in_their_order_with_their_titles(tmp_path: Path) -> None:
    strings, titles, pairs = (tmp_path / name for name in ("strings", "titles", "pairs"))
    pq.write_table(pa.table({"text": list("cdab"), "document": [7, 7, 3, 3]}), strings)
    pq.write_table(pa.table({"document": [3], "title": ["t"], "body": ["b"]}), titles)
    pq.write_table(pa.table({"first": ["x"], "second": ["y"]}), pairs)
    documents = [DocumentItem(("c", "d")), DocumentItem(("a", "b"), "t", "b")]
    assert read_items(ItemFiles(strings, titles)) == documents
    assert read_items(ItemFiles(strings, titles, pairs)) == [*documents, TextPair("x", "y")]
    assert read_items(ItemFiles(strings))[0] == TextPair("c", "c")
    assert read_items(ItemFiles(None, None, pairs)) == [TextPair("x", "y")]


def test_a_string_and_a_labelled_pair_are_masked() -> None:
    pair = TextPair("one", "two")
    assert view_pair(pair, 0, 0, settings()) == ViewPair("one", "two", masked=True)


@given(
    st.integers(2, 40), st.integers(1, 5), st.integers(0, 1_000), st.integers(0, 9), st.integers()
)
def test_crops_are_two_neighbouring_runs_of_a_document(
    count: int, longest: int, index: int, epoch: int, seed: int
) -> None:
    item = DocumentItem(tuple(f"s{number}" for number in range(count)))
    views = settings(views="crops", crop_sentences=longest, seed=seed)
    pair = view_pair(item, index, epoch, views)
    first, second = pair.first.split(), pair.second.split()
    start = item.sentences.index(first[0])
    assert tuple(first + second) == item.sentences[start : start + len(first) + len(second)]
    assert 1 <= len(first) <= longest
    assert 1 <= len(second) <= longest
    assert not pair.masked
    assert pair == view_pair(item, index, epoch, views)


def test_all_places_between_sentences_are_drawn() -> None:
    generator = random.Random(0)
    drawn = {crops(LETTERS, 1, generator) for _ in range(300)}
    assert drawn == set(pairwise(LETTERS))


def test_crops_differ_by_epoch_document_and_seed() -> None:
    item, views = DocumentItem(LETTERS * 4), settings(views="crops")
    drawn = [
        view_pair(item, index, epoch, views.model_copy(update={"seed": seed}))
        for index, epoch, seed in ((0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2))
    ]
    assert len(set(drawn)) == 4


def test_titles_are_paired_with_their_text_and_untitled_documents_give_crops() -> None:
    views = settings(views="titles")
    assert view_pair(DocumentItem(("t", "b"), "t", "b c"), 0, 0, views) == ("t", "b c", False)
    assert view_pair(DocumentItem(("a", "b")), 0, 0, views) == ("a", "b", False)


@pytest.mark.parametrize("views", ["crops", "titles"])
def test_a_single_sentence_is_paired_with_itself_and_masked(views: str) -> None:
    assert view_pair(DocumentItem(("a",)), 3, 1, settings(views=views)) == ("a", "a", True)


def test_shares_of_a_mixture_are_kept() -> None:
    views = settings(views={"crops": 3.0, "titles": 1.0, "identity": 1.0})
    item = DocumentItem(("a", "b"), "title", "body")
    drawn = [view_pair(item, index, 0, views) for index in range(2_000)]
    shares = [
        sum(pair.first == "title" for pair in drawn) / 2_000,
        sum(pair.masked for pair in drawn) / 2_000,
    ]
    assert shares == pytest.approx([0.2, 0.2], abs=0.03)
