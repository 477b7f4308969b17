"""Labelled pairs and texts that share one text (case c12 of issue 14), and empty cells (c14)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus.input_files import search_files
from mirror.corpus.labelled_pairs import gather_pairs, read_pairs
from mirror.corpus.readers import read_file
from mirror.corpus.sources.files import FilesSection
from mirror.documents import EMPTY_CELL, Document
from mirror.errors import SampleError, TuningError
from mirror.recipe import PairsSection, Recipe
from mirror.store import Store
from mirror.tuning.duplicates import check_negatives
from mirror.tuning.items import DocumentItem, Item, TextPair
from mirror.tuning.views import MOST_WITHOUT_NEGATIVES, Views
from mirror.tuning_config import TuningSection
from tests.fixtures.recipes import make_recipe

MARKERS = ("nan", "None", "NULL", "NaN", "N/A", "null", "<NA>", "#N/A", "-", "none")


def write_pairs(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    lines = [("first", "second"), *rows]
    path.write_text("".join("\t".join(row) + "\n" for row in lines), encoding="utf-8")
    return path


def pairs_recipe(path: Path, with_strings: bool = False, batch_size: int = 200) -> Recipe:
    pairs = {"paths": [str(path)], "with_strings": with_strings}
    return make_recipe(tuning={"batch_size": batch_size}, pairs=pairs)


def tuning(**settings: Any) -> TuningSection:
    content = {"batch_size": 20, "pooling": "mean", "max_tokens": 50, **settings}
    return make_recipe(tuning=content).tuning


# c12: a batch without negatives


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.case("c12")
def test_pairs_that_share_one_text_are_refused(tmp_path: Path, store: Store, others: int) -> None:
    rows = [("one question", f"answer {n}") for n in range(600 - others)]
    path = write_pairs(tmp_path / "a.tsv", [*rows, *[("another", "pair")] * others])
    count = "599 of the 600" if others else "all 600"
    message = f"{count} pairs share a text with each other, most often 'one question'"
    with pytest.raises(SampleError, match=message):
        gather_pairs(pairs_recipe(path), store)


@pytest.mark.case("c12")
def test_pairs_that_share_texts_through_others_are_refused(tmp_path: Path, store: Store) -> None:
    path = write_pairs(tmp_path / "a.tsv", [(f"link {n}", f"link {n + 1}") for n in range(300)])
    with pytest.raises(SampleError, match="all 300 pairs share"):
        gather_pairs(pairs_recipe(path), store)


@pytest.mark.case("c12")
def test_most_pairs_with_one_text_are_warned_of(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    same = [("one question", f"answer {n}") for n in range(300)]
    path = write_pairs(tmp_path / "a.tsv", [*same, *((f"q {n}", f"a {n}") for n in range(200))])
    gather_pairs(pairs_recipe(path), store)
    assert "300 of the 500 pairs share a text" in caplog.text


@pytest.mark.case("c12")
def test_pairs_beside_strings_are_warned_of(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_pairs(tmp_path / "a.tsv", [("one question", f"answer {n}") for n in range(50)])
    gather_pairs(pairs_recipe(path, with_strings=True), store)
    assert "all 50 pairs share a text" in caplog.text


@pytest.mark.case("c12")
def test_different_pairs_are_taken_without_a_word(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_pairs(tmp_path / "a.tsv", [(f"q {n}", f"a {n // 3}") for n in range(300)])
    gather_pairs(pairs_recipe(path), store)
    assert not caplog.records


@pytest.mark.parametrize(
    ("items", "views"),
    [
        ([TextPair("same", f"other {n}") for n in range(90)], "identity"),
        ([DocumentItem(("a", f"b {n}"), "same title", f"b {n}") for n in range(90)], "titles"),
    ],
)
@pytest.mark.case("c12")
def test_items_that_share_one_text_are_refused_before_the_first_step(
    items: Sequence[Item], views: str
) -> None:
    with pytest.raises(SampleError, match="all 90 texts and pairs to tune on share a text"):
        check_negatives(items, tuning(views=views))


@pytest.mark.case("c12")
def test_one_title_of_most_documents_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    titles = ["Untitled"] * 60 + [f"title {n}" for n in range(40)]
    items = [DocumentItem((t, f"b {n}"), t, f"b {n}") for n, t in enumerate(titles)]
    check_negatives(items, tuning(views={"titles": 0.5, "crops": 0.5}))
    assert "60 of the 100" in caplog.text and "'Untitled'" in caplog.text


@pytest.mark.case("c12")
def test_different_strings_and_small_batches_pass(caplog: pytest.LogCaptureFixture) -> None:
    check_negatives([TextPair(f"s {n}", f"s {n}") for n in range(50)], tuning())
    check_negatives([TextPair("a", "b"), TextPair("c", "d")], tuning(batch_size=2))
    check_negatives([TextPair("a", "b")] * 50, tuning(duplicates="negatives"))
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "negatives of equal texts" in caplog.text


@pytest.mark.case("c12")
def test_batches_of_near_duplicates_end_tuning(tiny_base: Path) -> None:
    from mirror.tuning.model_setup import load_encoder

    settings = tuning(near_duplicates=0.1, batch_size=2)
    items = [TextPair(f"the red boat {n}", f"the red boat {n}") for n in range(2)]
    views = Views(settings, items, load_encoder(settings, tiny_base, items), tiny_base)
    with pytest.raises(TuningError, match="25 batches had no negatives"):
        for epoch in range(MOST_WITHOUT_NEGATIVES):
            views.batch([0, 1], epoch)


# c14: cells without text, written as text


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.case("c14")
def test_pairs_with_the_text_of_empty_cells_are_left_out_and_warned_of(
    tmp_path: Path, store: Store, marker: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"q {n}", marker if n % 3 == 0 else f"a {n}") for n in range(30)]
    record = gather_pairs(pairs_recipe(write_pairs(tmp_path / "a.tsv", rows), True), store)
    assert record.counts["pairs"] == 20
    assert record.counts["skipped"] == {EMPTY_CELL: 10}
    assert "10 pairs have the text of an empty cell" in caplog.text
    assert marker not in pq.read_table(record.path / "pairs.parquet")["second"].to_pylist()


@pytest.mark.case("c14")
def test_a_word_that_looks_like_an_empty_cell_is_kept_and_warned_of(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("None", "keine"), ("zero", "null"), ("one", "eins")]
    record = gather_pairs(pairs_recipe(write_pairs(tmp_path / "a.tsv", rows), True, 2), store)
    assert record.counts["pairs"] == 3
    assert record.counts["doubtful"] == 2
    assert "2 pairs have a text such as 'nan'" in caplog.text


@pytest.mark.case("c12")
def test_pairs_of_equal_texts_are_counted_where_too_few_are_left(
    tmp_path: Path, store: Store
) -> None:
    rows = [("one", "eins"), *((f"q {n}", f"q {n}") for n in range(30))]
    with pytest.raises(SampleError, match="hold 1 pairs, without 30 skipped, equal texts, fewer"):
        gather_pairs(pairs_recipe(write_pairs(tmp_path / "a.tsv", rows), False, 2), store)


@pytest.mark.case("c14")
def test_empty_cells_of_jsonl_pairs_are_left_out(tmp_path: Path) -> None:
    rows = [{"first": f"q {n}", "second": "nan" if n < 5 else f"a {n}"} for n in range(10)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_pairs(PairsSection(paths=(str(path),)))
    assert (len(found.pairs), found.skipped) == (5, {EMPTY_CELL: 5})


def documents(path: Path, **settings: Any) -> Iterator[Document]:
    section = FilesSection(source="files", paths=(str(path),), title_column="title", **settings)
    [file] = search_files(section.paths).files
    return read_file(file, section)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.case("c14")
def test_rows_and_titles_of_a_corpus_with_the_text_of_empty_cells(
    tmp_path: Path, kind: str
) -> None:
    rows = [("A title", marker) for marker in MARKERS] + [(marker, "A text.") for marker in MARKERS]
    path = tmp_path / f"text.{kind}"
    if kind == "parquet":
        titles, texts = zip(*rows, strict=True)
        pq.write_table(pa.table({"title": titles, "text": texts}), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"title": a, "text": b}) + "\n" for a, b in rows))
    else:
        mark = {"csv": ",", "tsv": "\t"}[kind]
        path.write_text("".join(mark.join(row) + "\n" for row in [("title", "text"), *rows]))
    found = list(documents(path))
    assert [each.fault for each in found] == [EMPTY_CELL] * 10 + [""] * 10
    assert all(each.title == "" and each.text == "A text." for each in found[10:])
    words = list(documents(path, split_into="lines"))
    assert not any(each.fault for each in words)
