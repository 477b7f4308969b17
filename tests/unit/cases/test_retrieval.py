"""Corpora whose documents are too short for a retrieval benchmark (case c10 of issue 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mirror.corpus.parquet_writer import SENTENCES, TITLES, TableWriter
from mirror.errors import BenchmarkError
from mirror.evaluation.document_counts import (
    check_documents_for_retrieval,
    check_retrieval_forms,
)
from mirror.evaluation.kinds.retrieval import held_out_passages
from mirror.recipe import Recipe
from mirror.run_data import RunData
from mirror.store import StageRecord
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.case("c10")


def recipe(*benchmarks: str) -> Recipe:
    return make_recipe(evaluation={"benchmarks": list(benchmarks)})


def corpus(folder: Path, documents: Sequence[int], titles: Mapping[int, str]) -> StageRecord:
    """Write a corpus, given the number of sentences of each document."""
    with (
        TableWriter(folder / "sentences", SENTENCES) as writer,
        TableWriter(folder / "titles", TITLES) as titled,
    ):
        for document, count in enumerate(documents):
            for position in range(count):
                writer.add(f"Sentence {position} of {document}.", "s", document, position, 1)
        for document, title in titles.items():
            titled.add(document, title, f"body {document}")
    return StageRecord("corpus", "0" * 20, str(folder), "digest")


def test_rows_of_two_sentences_are_found_before_tuning_and_another_form_is_offered(
    tmp_path: Path,
) -> None:
    rows = corpus(tmp_path, [2] * 700, {})
    message = (
        r"^passage-retrieval: .* has 0 held-out documents with 4 sentences or more, and retrieval "
        r"of halves needs 20; 0 of its 700 .*: name sentence-retrieval in evaluation\.benchmarks, "
        r"for which it has \d+; or let each row.* more text like this does not help; or choose a "
        r"benchmark with labels$"
    )
    with pytest.raises(BenchmarkError, match=message):
        check_documents_for_retrieval(recipe("passage-retrieval"), rows)


def test_the_form_that_is_offered_works(tmp_path: Path) -> None:
    rows = corpus(tmp_path, [2] * 700, {})
    check_documents_for_retrieval(recipe("sentence-retrieval"), rows)
    passages = held_out_passages(RunData(rows, rows), "sentences")
    assert len(passages.queries) > 100
    assert all(len(text.split()) == 4 for text in (*passages.queries, *passages.answers))


def test_all_benchmarks_with_too_few_documents_are_listed(tmp_path: Path) -> None:
    rows = corpus(tmp_path, [1] * 700, {})
    with pytest.raises(BenchmarkError) as error:
        check_documents_for_retrieval(recipe("title-retrieval", "sentence-retrieval"), rows)
    titles, sentences = str(error.value).splitlines()
    assert "with a title" in titles
    assert "corpus.title_column" in titles
    assert "2 sentences or more" in sentences
    assert "retrieval in evaluation.benchmarks" not in titles + sentences


def test_more_text_is_a_remedy_where_documents_are_long_and_few(tmp_path: Path) -> None:
    few = corpus(tmp_path, [5] * 12, {0: "the only title"})
    with pytest.raises(BenchmarkError, match="give it more such text"):
        check_documents_for_retrieval(recipe("passage-retrieval"), few)


def test_corpora_with_enough_documents_pass(tmp_path: Path) -> None:
    rows = corpus(tmp_path, [4] * 400, {number: f"title {number}" for number in range(400)})
    check_documents_for_retrieval(
        recipe("passage-retrieval", "sentence-retrieval", "title-retrieval", "stsb"), rows
    )


def test_a_list_of_words_is_refused_in_preflight() -> None:
    words = make_recipe(
        level="word",
        corpus={"source": "wordfreq"},
        evaluation={"benchmarks": ["passage-retrieval"]},
    )
    with pytest.raises(BenchmarkError, match="'wordfreq' is a list of words"):
        check_retrieval_forms(words)
