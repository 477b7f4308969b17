"""Label-free retrieval and its BM25 baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror import duckdb_connection
from mirror.corpus.parquet_writer import SENTENCES, TITLES, TableWriter
from mirror.duckdb_connection import connect
from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.document_counts import Form
from mirror.evaluation.kinds.retrieval import (
    Passages,
    bm25_scores,
    fused_scores,
    held_out_passages,
)
from mirror.evaluation.metrics import cosine_scores, reciprocal_ranks
from mirror.held_out import create_held_out
from mirror.run_data import RunData
from mirror.store import StageRecord

DOCUMENTS = 400


def record(folder: Path) -> StageRecord:
    return StageRecord("x", "k", str(folder), "d")


def write_corpus(
    folder: Path, documents: Mapping[int, Sequence[str]], titles: Mapping[int, tuple[str, str]]
) -> StageRecord:
    with TableWriter(folder / "sentences", SENTENCES) as writer:
        for number, texts in documents.items():
            for position, text in enumerate(texts):
                writer.add(text, f"s{number}", number, position, 1)
    with TableWriter(folder / "titles", TITLES) as writer:
        for number, (title, body) in titles.items():
            writer.add(number, title, body)
    return record(folder)


def sentences(number: int) -> list[str]:
    return [f"{name} of {number}." for name in ("Opening", "Second", "Third", "Fourth", "End")]


@pytest.fixture
def corpus(tmp_path: Path) -> StageRecord:
    """Documents of five sentences, each with a title."""
    documents = {number: sentences(number) for number in range(DOCUMENTS)}
    titles = {number: (f"title {number}", f"body {number}") for number in documents}
    return write_corpus(tmp_path / "corpus", documents, titles)


def held_out(corpus: StageRecord, tmp_path: Path) -> set[int]:
    with connect(tmp_path) as connection:
        create_held_out(connection, corpus.path)
        return {row[0] for row in connection.execute("SELECT document FROM held_out").fetchall()}


def run_of(corpus: StageRecord, pairs: StageRecord | None = None) -> RunData:
    return RunData(corpus, record(corpus.path / "no sample"), pairs)


def numbers(texts: Iterable[str]) -> set[int]:
    return {int(re.findall(r"\d+", text)[0]) for text in texts}


def test_passages_are_of_held_out_documents(corpus: StageRecord, tmp_path: Path) -> None:
    expected = held_out(corpus, tmp_path)
    assert 150 < len(expected) < 250
    for form in ("titles", "halves", "sentences"):
        passages = held_out_passages(run_of(corpus), form)
        assert numbers(passages.queries) == numbers(passages.answers) == expected
        assert set(passages.sources) == {f"s{number}" for number in expected}


def test_each_form_asks_for_another_part_of_a_document(corpus: StageRecord) -> None:
    titles, halves, parts = (
        held_out_passages(run_of(corpus), form) for form in ("titles", "halves", "sentences")
    )
    number = min(numbers(titles.queries))
    texts = sentences(number)
    at = titles.queries.index(f"title {number}")
    assert titles.answers[at] == f"body {number}"
    at = halves.queries.index(" ".join(texts[:2]))
    assert halves.answers[at] == " ".join(texts[2:])
    [at] = [at for at, query in enumerate(parts.queries) if query in texts]
    rest = [text for text in texts if text != parts.queries[at]]
    assert parts.answers[at] == " ".join(rest)
    asked = {query.split()[0] for query in parts.queries}
    assert asked == {"Opening", "Second", "Third", "Fourth", "End"}


def test_a_half_needs_four_sentences_and_a_rest_three(tmp_path: Path) -> None:
    documents = {number: sentences(number)[: number % 4 + 1] for number in range(DOCUMENTS)}
    corpus = write_corpus(tmp_path / "corpus", documents, {})
    assert {n % 4 for n in numbers(held_out_passages(run_of(corpus), "halves").queries)} == {3}
    found = held_out_passages(run_of(corpus), "sentences")
    assert {n % 4 for n in numbers(found.queries)} == {2, 3}


def test_texts_that_may_be_tuned_on_are_left_out(tmp_path: Path) -> None:
    documents = {number: sentences(number) for number in range(DOCUMENTS)}
    titles = {number: (f"title {number}", f"body {number}") for number in documents}
    plain = write_corpus(tmp_path / "plain", documents, titles)
    out = sorted(held_out(plain, tmp_path))
    kept = next(number for number in documents if number not in out)
    documents[kept].append(f"title {out[0]}")
    titles[kept] = (f"title {out[1]}", "another body")
    documents[out[2]].append("its title is a string of a document that is held out too")
    titles[out[3]] = ("its title is a string of a document that is held out too", "body")
    touched = write_corpus(tmp_path / "touched", documents, titles)
    before, after = (
        set(held_out_passages(run_of(corpus), "titles").queries) for corpus in (plain, touched)
    )
    assert before - after == {f"title {out[0]}", f"title {out[1]}", f"title {out[3]}"}
    assert after - before == {titles[out[3]][0]}


def test_documents_and_texts_of_labelled_pairs_are_left_out(
    corpus: StageRecord, tmp_path: Path
) -> None:
    one, two, three, four = sorted(held_out(corpus, tmp_path))[:4]
    rows = [
        (f"title {one}", "elsewhere"),
        ("elsewhere", f"body {two}"),
        (f"Third of {three}.", f"End of {four}."),
    ]
    pairs = write_pairs(tmp_path / "p", rows)
    without = held_out_passages(run_of(corpus), "titles")
    found = held_out_passages(run_of(corpus, pairs), "titles")
    left_out = numbers(without.queries) - numbers(found.queries)
    assert left_out == {one, two, three, four}


def write_pairs(folder: Path, rows: list[tuple[str, str]]) -> StageRecord:
    folder.mkdir()
    first, second = map(list, zip(*rows, strict=True))
    pq.write_table(pa.table({"first": first, "second": second}), folder / "pairs.parquet")
    return record(folder)


def test_queries_and_answers_are_all_different(tmp_path: Path) -> None:
    documents = {number: sentences(number) for number in range(DOCUMENTS)}
    titles = {number: (f"title {number // 2}", f"body {number // 3}") for number in documents}
    corpus = write_corpus(tmp_path / "corpus", documents, titles)
    passages = held_out_passages(run_of(corpus), "titles")
    assert len(set(passages.answers)) == len(set(passages.queries)) == len(passages.queries)


def test_memory_is_bounded_and_the_working_folder_stays_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {n: [f"query {n} " + "x" * 200, f"answer {n} " + "y" * 200] for n in range(30_000)}
    corpus = write_corpus(tmp_path / "corpus", documents, {})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(duckdb_connection, "MEMORY_LIMIT", "4MB")
    with pytest.raises(StoreError, match=r"(?s)4MB of memory.*TMPDIR"):
        held_out_passages(run_of(corpus), "sentences")
    assert not list((tmp_path / "here").iterdir())


def test_the_same_passages_every_time(corpus: StageRecord) -> None:
    first, second = (held_out_passages(run_of(corpus), "sentences") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("form", "needed"), [("titles", "a title"), ("halves", "4 sentences")])
def test_too_few_passages_name_what_a_document_needs(
    tmp_path: Path, form: Form, needed: str
) -> None:
    documents = {number: ["One.", f"Two {number}."] for number in range(DOCUMENTS)}
    corpus = write_corpus(tmp_path / "corpus", documents, {})
    with pytest.raises(BenchmarkError, match=f"has 0 held-out documents with {needed}"):
        held_out_passages(run_of(corpus), form)


def test_reciprocal_ranks_match_values_computed_by_hand() -> None:
    answers = np.eye(3, dtype=np.float32)
    queries = np.array([[1, 0, 0], [3, 2, 1], [3, 2, 1]], np.float32)
    assert reciprocal_ranks(cosine_scores(queries, answers)) == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_collapsed_encoder_scores_zero() -> None:
    same = np.ones((50, 4), np.float32)
    assert reciprocal_ranks(cosine_scores(same, same)).max() <= 1 / 10


def test_ranks_beyond_ten_score_zero() -> None:
    answers = np.eye(12, dtype=np.float32)
    query = np.arange(12, 0, -1, dtype=np.float32)
    ranks = reciprocal_ranks(cosine_scores(np.tile(query, (12, 1)), answers))
    assert ranks[9] == pytest.approx(0.1)
    assert ranks[10] == ranks[11] == 0


def test_nan_vectors_give_nan_ranks() -> None:
    vectors = np.eye(3, dtype=np.float32)
    zero = vectors.copy()
    zero[1] = 0
    assert np.isnan(reciprocal_ranks(cosine_scores(zero, vectors))[1])


def test_bm25_finds_shared_words_only() -> None:
    passages = Passages(
        ("",) * 3,
        ("the red lantern", "an old kettle", "unseen words"),
        ("a lantern, red and small", "kettle on the stove", "something apart"),
    )
    ranks = reciprocal_ranks(bm25_scores(passages))
    assert ranks[:2] == pytest.approx([1, 1])
    assert ranks[2] == pytest.approx(1 / 3)


def test_joined_scores_rank_by_both_methods() -> None:
    words = np.array([[3, 2, 1, 0]], np.float32)
    cosines = np.array([[0.1, 0.9, 0.2, 0.8]], np.float32)
    fused = fused_scores(words, cosines)
    # Ranks by words 1, 2, 3, 4 and by cosines 4, 1, 3, 2.
    expected = [1 / 61 + 1 / 64, 1 / 62 + 1 / 61, 1 / 63 + 1 / 63, 1 / 64 + 1 / 62]
    assert fused[0] == pytest.approx(expected, abs=1e-8)
    assert fused[0, 0] > expected[0]  # equal sums are ordered by the cosine
