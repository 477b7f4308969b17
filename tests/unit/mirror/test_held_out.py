"""Documents held out for evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from mirror.corpus.parquet_writer import SENTENCES, TableWriter
from mirror.duckdb_connection import connect
from mirror.held_out import FEWEST, MOST, SHARE, create_held_out, held_out_share, overlap


def held_out(folder: Path, documents: Iterable[tuple[str, ...]]) -> set[str]:
    """First strings of the documents that are held out."""
    with TableWriter(folder / "sentences", SENTENCES) as writer:
        for number, texts in enumerate(documents):
            for position, text in enumerate(texts):
                writer.add(text, "s", number, position, 1)
    with connect(folder) as connection:
        count, _ = create_held_out(connection, folder)
        rows = connection.execute("SELECT opening FROM held_out").fetchall()
    assert count == len(rows)
    return {row[0] for row in rows}


def test_a_tenth_of_a_large_corpus_and_more_of_a_small_one() -> None:
    assert held_out_share(1_000_000) == SHARE
    assert held_out_share(1_000) * 1_000 == FEWEST
    assert held_out_share(10) == MOST
    assert held_out_share(0) == 0


@pytest.mark.case("c16")
def test_a_document_stays_held_out_while_the_corpus_grows(tmp_path: Path) -> None:
    texts = [(f"opening {number}", "more") for number in range(3_000)]
    small, large = (held_out(tmp_path / str(n), texts[:n]) for n in (1_000, 3_000))
    assert 150 < len(small) < 250
    old = {opening for opening, _ in texts[:1_000]}
    assert large & old < small
    assert large & old == held_out(tmp_path / "shuffled", texts[::-1]) & old


@pytest.mark.case("c16")
def test_an_edited_document_stays_on_its_side(tmp_path: Path) -> None:
    texts = [(f"opening {number}", "more") for number in range(1_000)]
    edited = [(opening, "another", "end") for opening, _ in texts]
    assert held_out(tmp_path / "a", texts) == held_out(tmp_path / "b", edited)


@pytest.mark.case("c16")
@pytest.mark.parametrize(
    ("left_out", "share", "reason"),
    [
        (0.1, 0.1, ""),
        (0.25, 0.1, ""),
        (0.1, 0.25, "10% of the documents were held out then, and 25% are now"),
        (0.0, 0.1, "0% of the documents were held out then, and 10% are now"),
        (None, 0.1, "which documents it left out is not recorded"),
    ],
)
def test_an_encoder_of_a_larger_corpus_may_have_been_tuned_on_held_out_documents(
    left_out: float | None, share: float, reason: str
) -> None:
    assert overlap(left_out, share) == reason


def test_single_sentences_are_all_tuned_on(tmp_path: Path) -> None:
    assert held_out(tmp_path, [(f"line {number}",) for number in range(1_000)]) == set()
