"""Documents drawn whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus.parquet_writer import TITLES, TableWriter
from mirror.duckdb_connection import connect
from mirror.errors import RecipeError, SampleError
from mirror.held_out import create_held_out
from mirror.recipe import Recipe, parse_recipe
from mirror.sampling.documents import settle_views
from mirror.sampling.sample import sample_strings
from mirror.store import StageRecord, Store
from tests.fixtures.corpora import write_corpus
from tests.fixtures.recipes import make_recipe, recipe_content


def recipe(level: str = "sentence", corpus: dict[str, Any] | None = None, **sample: Any) -> Recipe:
    return make_recipe(
        level=level,
        corpus=corpus or {"source": "files", "paths": ["text"]},
        sample={"size": 20, **sample},
        tuning={"views": "crops", "batch_size": 2},
    )


def write_documents(folder: Path, lengths: Sequence[int], titled: range) -> StageRecord:
    """Write documents of so many sentences, from two sources, some with a title."""
    rows = [
        (f"sentence {position} of {document}", f"source {document % 2}", document, position, 1)
        for document, length in enumerate(lengths)
        for position in range(length)
    ]
    with TableWriter(folder / "titles", TITLES) as titles:
        for document in titled:
            titles.add(document, f"title {document}", f"body {document}")
    return write_corpus(folder, rows)


@pytest.fixture
def corpus(tmp_path: Path) -> StageRecord:
    """600 documents: every third has one sentence, the others three; every sixth has a title."""
    lengths = [3 if document % 3 else 1 for document in range(600)]
    return write_documents(tmp_path / "corpus", lengths, range(1, 600, 6))


def held_out(corpus: StageRecord, tmp_path: Path) -> set[int]:
    with connect(tmp_path) as connection:
        create_held_out(connection, corpus.path)
        return {row[0] for row in connection.execute("SELECT document FROM held_out").fetchall()}


def read(sample: StageRecord, name: str) -> pa.Table:
    return pq.read_table(sample.path / f"{name}.parquet")


def test_documents_are_whole_in_hash_order_and_not_held_out(
    corpus: StageRecord, store: Store, tmp_path: Path
) -> None:
    left_out = held_out(corpus, tmp_path)
    record = sample_strings(recipe(), corpus, store)
    rows = read(record, "strings").to_pylist()
    several = [n for n in range(600) if n % 3 and n not in left_out]
    by_hash = sorted(
        several, key=lambda n: hashlib.md5(f"42:sentence 0 of {n}".encode()).hexdigest()
    )[:20]
    expected = [(n, f"sentence {position} of {n}") for n in by_hash for position in range(3)]
    assert [(row["document"], row["text"]) for row in rows] == expected
    titles = read(record, "titles").to_pydict()
    assert titles["document"] == [n for n in by_hash if n % 6 == 1]
    assert titles["title"][0] == f"title {titles['document'][0]}"
    assert record.counts["documents"] == 20
    assert record.counts["available"] == 600 - len(left_out)


def test_a_smaller_sample_is_part_of_a_larger_one(corpus: StageRecord, store: Store) -> None:
    small, large = (
        read(sample_strings(recipe(size=size), corpus, store), "strings")["document"].to_pylist()
        for size in (20, 60)
    )
    assert small == [document for document in large if document in set(small)]
    assert len(set(large)) == 60


def test_all_documents_are_taken_where_there_are_fewer_single_sentences_last(
    corpus: StageRecord, store: Store
) -> None:
    record = sample_strings(recipe(size=5_000), corpus, store)
    assert record.counts["documents"] == record.counts["available"]
    counts = record.counts
    assert (
        counts["single_sentences"]
        == counts["documents"] - (counts["strings"] - counts["documents"]) / 2
    )
    few = sample_strings(recipe(size=100), corpus, store)
    assert few.counts["single_sentences"] == 0


def test_sources_give_equally_many_documents(corpus: StageRecord, store: Store) -> None:
    record = sample_strings(recipe(size=40, stratify_by_source=True), corpus, store)
    assert record.counts["by_source"] == {"source 0": 60, "source 1": 60}


def test_fewer_documents_than_a_batch_are_an_error(tmp_path: Path, store: Store) -> None:
    corpus = write_documents(tmp_path / "corpus", [1], range(0))
    with pytest.raises(SampleError, match=r"has 1 documents to tune on, fewer than one batch of 2"):
        sample_strings(recipe(), corpus, store)


def test_titles_are_not_replaced_by_crops_where_no_document_has_one(
    tmp_path: Path, store: Store
) -> None:
    corpus = write_documents(tmp_path / "corpus", [2] * 50, range(0))
    titles = make_recipe(sample={"size": 20}, tuning={"views": "titles", "batch_size": 2})
    with pytest.raises(SampleError, match=r"no document .* has a title: .*corpus.title_column"):
        sample_strings(titles, corpus, store)


@pytest.mark.parametrize(
    ("level", "corpus"),
    [
        ("word", None),
        ("name", {"source": "files", "paths": ["text"], "split_into": "lines"}),
    ],
)
def test_lists_have_no_documents(level: str, corpus: dict[str, Any] | None) -> None:
    with pytest.raises(RecipeError, match=r"list of words or lines has none: set tuning.views"):
        recipe(level, corpus)


def left_to_corpus(size: int = 20, batch_size: int = 2) -> Recipe:
    content = recipe_content(sample={"size": size}, tuning={"batch_size": batch_size})
    del content["tuning"]["views"]
    return parse_recipe(content, name="en-trades", source="a test")


def test_a_recipe_without_views_takes_crops_of_documents(corpus: StageRecord) -> None:
    read = left_to_corpus(size=400)
    assert settle_views(read, corpus) is read
    assert read.tuning == recipe(size=400).tuning.model_copy(update={"batch_size": 2})


@pytest.mark.parametrize(("several", "size", "batch_size"), [(30, 100, 10), (31, 40, 32)])
def test_identity_pairs_replace_default_crops_where_few_documents_have_several_sentences(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, several: int, size: int, batch_size: int
) -> None:
    lengths = [2 if document < several else 1 for document in range(100)]
    corpus = write_documents(tmp_path / "corpus", lengths, range(0))
    expected = make_recipe(
        sample={"size": size}, tuning={"batch_size": batch_size, "views": "identity"}
    )
    settled = settle_views(left_to_corpus(size, batch_size), corpus)
    assert settled.model_dump() == expected.model_dump()
    assert f"only {several} of the 100 documents of en-trades have two sentences" in caplog.text
    set_to_crops = make_recipe(tuning={"batch_size": batch_size, "views": "crops"})
    assert settle_views(set_to_crops, corpus) is set_to_crops
