"""Label-free retrieval and its BM25 baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror import duckdb_connection
from mirror.errors import BenchmarkError, StoreError
from mirror.evaluation.kinds.retrieval import (
    Passages,
    bm25_reciprocal_ranks,
    held_out_passages,
    reciprocal_ranks,
)
from mirror.run_data import RunData
from mirror.store import StageRecord


def record(folder: Path) -> StageRecord:
    return StageRecord("x", "k", str(folder), "d")


@pytest.fixture
def corpus(tmp_path: Path) -> StageRecord:
    folder = tmp_path / "corpus" / "passages"
    folder.mkdir(parents=True)
    rows = {
        "document": list(range(40)),
        "source": ["s"] * 40,
        "query": [f"query {n}" for n in range(40)],
        "answer": [f"answer {n}" if n != 39 else "answer 38" for n in range(40)],
    }
    pq.write_table(pa.table(rows), folder / "part-00000.parquet")
    return record(tmp_path / "corpus")


def sample(folder: Path, texts: list[str], documents: list[int | None]) -> StageRecord:
    folder.mkdir()
    table = pa.table({"text": texts, "document": pa.array(documents, pa.int64())})
    pq.write_table(table, folder / "strings.parquet")
    return record(folder)


def test_what_the_encoder_was_tuned_on_is_left_out(corpus, tmp_path: Path) -> None:
    tuned = sample(tmp_path / "s", ["query 3", "answer 4", "else"], [None, 99, 5])
    passages = held_out_passages(RunData(corpus, tuned))
    left_out = {"query 3", "query 4", "query 5"}
    assert not left_out & set(passages.queries)
    assert "query 6" in passages.queries


def test_labelled_pairs_are_left_out_as_sampled_strings_are(corpus, tmp_path: Path) -> None:
    write_sentences(corpus, {7: ["part of 7", "more of 7"], 8: ["part of 8"], 9: ["of 9"]})
    tuned = sample(tmp_path / "s", ["query 3"], [None])
    rows = [("query 4", "elsewhere"), ("elsewhere", "answer 5"), ("more of 7", "part of 8")]
    pairs = write_pairs(tmp_path / "p", rows)
    found = held_out_passages(RunData(corpus, tuned, pairs))
    without = held_out_passages(RunData(corpus, tuned))
    left_out = set(without.queries) - set(found.queries)
    assert left_out == {"query 4", "query 5", "query 7", "query 8"}
    assert "query 3" not in without.queries


def write_sentences(corpus: StageRecord, texts: dict[int, list[str]]) -> None:
    (corpus.path / "sentences").mkdir()
    rows = [(text, document) for document, some in texts.items() for text in some]
    columns = dict(zip(("text", "document"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), corpus.path / "sentences" / "part-00000.parquet")


def write_pairs(folder: Path, rows: list[tuple[str, str]]) -> StageRecord:
    folder.mkdir()
    first, second = map(list, zip(*rows, strict=True))
    pq.write_table(pa.table({"first": first, "second": second}), folder / "pairs.parquet")
    return record(folder)


def test_queries_and_answers_are_all_different(corpus, tmp_path: Path) -> None:
    passages = held_out_passages(RunData(corpus, sample(tmp_path / "s", ["x"], [None])))
    assert len(passages.queries) == 39
    assert len(set(passages.answers)) == len(set(passages.queries)) == 39


def test_a_passage_may_repeat_a_sentence_that_was_sampled_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "corpus" / "passages"
    folder.mkdir(parents=True)
    count = 25
    rows = {
        "document": list(range(count)),
        "source": ["s"] * count,
        "query": [f"query {n}" for n in range(count)],
        "answer": [f"answer {n}. See also the index." for n in range(count)],
    }
    pq.write_table(pa.table(rows), folder / "part-00000.parquet")
    tuned = sample(tmp_path / "s", ["See also the index."], [0])
    passages = held_out_passages(RunData(record(tmp_path / "corpus"), tuned))
    assert set(passages.queries) == {f"query {n}" for n in range(1, count)}


def test_memory_is_bounded_and_the_working_folder_stays_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corpus" / "passages"
    folder.mkdir(parents=True)
    numbers = range(60_000)
    rows = {
        "document": list(numbers),
        "source": ["s"] * len(numbers),
        "query": [f"query {n} " + "x" * 200 for n in numbers],
        "answer": [f"answer {n} " + "y" * 200 for n in numbers],
    }
    pq.write_table(pa.table(rows), folder / "part-00000.parquet")
    tuned = sample(tmp_path / "s", ["x"], [None])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(duckdb_connection, "MEMORY_LIMIT", "4MB")
    with pytest.raises(StoreError, match=r"(?s)4MB of memory.*TMPDIR"):
        held_out_passages(RunData(record(tmp_path / "corpus"), tuned))
    assert not list((tmp_path / "here").iterdir())


def test_the_same_passages_every_time(corpus, tmp_path: Path) -> None:
    tuned = sample(tmp_path / "s", ["x"], [None])
    assert held_out_passages(RunData(corpus, tuned)) == held_out_passages(RunData(corpus, tuned))


def test_too_few_passages_is_an_error(corpus, tmp_path: Path) -> None:
    tuned = sample(tmp_path / "s", ["x"] * 30, list(range(30)))
    with pytest.raises(BenchmarkError, match="has 9 passages"):
        held_out_passages(RunData(corpus, tuned))


def test_reciprocal_ranks_match_values_computed_by_hand() -> None:
    answers = np.eye(3, dtype=np.float32)
    queries = np.array([[1, 0, 0], [3, 2, 1], [3, 2, 1]], np.float32)
    assert reciprocal_ranks(queries, answers) == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_collapsed_encoder_scores_zero() -> None:
    same = np.ones((50, 4), np.float32)
    assert reciprocal_ranks(same, same).max() <= 1 / 10


def test_ranks_beyond_ten_score_zero() -> None:
    answers = np.eye(12, dtype=np.float32)
    query = np.arange(12, 0, -1, dtype=np.float32)
    ranks = reciprocal_ranks(np.tile(query, (12, 1)), answers)
    assert ranks[9] == pytest.approx(0.1)
    assert ranks[10] == ranks[11] == 0


def test_nan_vectors_give_nan_ranks() -> None:
    vectors = np.eye(3, dtype=np.float32)
    zero = vectors.copy()
    zero[1] = 0
    assert np.isnan(reciprocal_ranks(zero, vectors)[1])


def test_bm25_finds_shared_words_only() -> None:
    passages = Passages(
        ("",) * 3,
        ("the red lantern", "an old kettle", "unseen words"),
        ("a lantern, red and small", "kettle on the stove", "something apart"),
    )
    ranks = bm25_reciprocal_ranks(passages)
    assert ranks[:2] == pytest.approx([1, 1])
    assert ranks[2] == pytest.approx(1 / 3)
