"""Pairs from TSV and JSONL: rows that are read, skipped and refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mirror.corpus.labelled_pairs import (
    ReadPairs,
    check_pairs,
    gather_pairs,
    pairs_stage,
    read_pairs,
)
from mirror.errors import CorpusError, RecipeError, SampleError
from mirror.recipe import PairsSection, Recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

PAIRS = (("a red boat", "a boat that is red"), ('an "oar', "a blade"), ("die Brücke", "the bridge"))


def section(*paths: Path, **settings: Any) -> PairsSection:
    return PairsSection(paths=tuple(map(str, paths)), **settings)


def recipe(pairs: dict[str, Any] | None, batch_size: int = 2) -> Recipe:
    sections = {} if pairs is None else {"pairs": pairs}
    return make_recipe(tuning={"batch_size": batch_size}, **sections)


def tsv(path: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("first", "second")) -> Path:
    lines = [header, *rows] if header else rows
    path.write_text("".join("\t".join(row) + "\n" for row in lines), encoding="utf-8")
    return path


def refusal(path: Path, **settings: Any) -> str:
    with pytest.raises(CorpusError) as caught:
        read_pairs(section(path, **settings))
    assert "corpus." not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["tsv", "jsonl"])
def test_both_formats_are_read_with_any_compression(
    tmp_path: Path, kind: str, compression: str
) -> None:
    path = tmp_path / f"pairs.{kind}{compression}"
    if kind == "tsv":
        content = "id\tsecond\tfirst\r\n" + "".join(f"1\t{b}\t{a}\r\n" for a, b in PAIRS)
    else:
        rows = [{"first": a, "second": b, "id": 1} for a, b in PAIRS]
        content = "".join(json.dumps(row) + "\n" for row in rows)
    pack: Any = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }[compression]
    path.write_bytes(pack(content.encode()))
    assert read_pairs(section(path)) == ReadPairs(PAIRS, {})


def test_columns_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    named = tsv(tmp_path / "a.tsv", *PAIRS, header=("question", "answer"))
    assert read_pairs(section(named, first="question", second="answer")).pairs == PAIRS
    bare = tsv(tmp_path / "b.tsv", *(("x", b, a) for a, b in PAIRS), header=())
    assert read_pairs(section(bare, first=2, second=1)).pairs == PAIRS


def test_useless_pairs_are_counted_and_skipped(tmp_path: Path) -> None:
    path = tsv(
        tmp_path / "a.tsv",
        ("a red boat", "a boat"),
        ("an oar", " "),
        ("", "a mast"),
        ("the  same", "the same"),
        ("a boat", "a red boat"),
        ("a red boat ", "a boat"),
        ("a sail", "a boat"),
    )
    found = read_pairs(section(path))
    assert found.pairs == (("a red boat", "a boat"), ("a sail", "a boat"))
    assert found.skipped == {"duplicate": 2, "empty text": 2, "equal texts": 1}


def test_duplicates_across_files_are_skipped(tmp_path: Path) -> None:
    tsv(tmp_path / "b.tsv", PAIRS[1], PAIRS[0])
    tsv(tmp_path / "a.tsv", PAIRS[0])
    found = read_pairs(section(tmp_path))
    assert found.pairs == PAIRS[:2]
    assert found.skipped == {"duplicate": 1}


def test_the_error_of_a_malformed_row_names_its_line(tmp_path: Path) -> None:
    path = tsv(tmp_path / "a.tsv", PAIRS[0], ("an oar", "a blade", "a mast"))
    assert "line 3 of" in refusal(path) and "3 cells where the header has 2" in refusal(path)
    path = tsv(tmp_path / "a.tsv", PAIRS[0], ("an oar",), header=())
    assert "line 2 of" in refusal(path, first=0, second=1)
    path = tmp_path / "a.jsonl"
    for wrong in ("no json", "[1]", '{"first": "an oar"}', '{"first": "an oar", "second": 7}'):
        path.write_text(f'{{"first": "a", "second": "b"}}\n\n{wrong}\n')
        assert "line 3 of" in refusal(path)
        assert wrong in refusal(path).replace("\\", "")


def test_the_error_of_a_missing_column_names_the_others(tmp_path: Path) -> None:
    path = tsv(tmp_path / "a.tsv", *PAIRS, header=("question", "answer"))
    assert "no column 'first'" in refusal(path) and "question, answer" in refusal(path)
    path = tmp_path / "a.jsonl"
    path.write_text('{"first": "a", "second": "b"}\n')
    assert "set pairs.first and pairs.second to names" in refusal(path, first=0, second=1)


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.parquet", "a.dat", "a.csv.gz"])
def test_the_error_of_another_format_names_the_readable_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("first,second\na,b\n")
    assert ".tsv .jsonl" in refusal(tmp_path / name)


def test_documents_in_a_folder_of_pairs_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("About the pairs.\n")
    assert ".tsv .jsonl" in refusal(tmp_path)
    tsv(tmp_path / "a.tsv", *PAIRS)
    assert read_pairs(section(tmp_path)).pairs == PAIRS


def test_missing_files_and_files_without_pairs_are_refused(tmp_path: Path) -> None:
    assert "pairs.paths" in refusal(tmp_path / "none.tsv")
    assert "the files are empty" in refusal(tsv(tmp_path / "a.tsv"))
    assert "1 with equal texts" in refusal(tsv(tmp_path / "b.tsv", ("an oar", "an oar")))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("first\tsecond\nFluß\tstream\n".encode("latin-1"))
    assert "not in utf-8" in refusal(tmp_path / "a.tsv")
    assert "rewrite it in UTF-8" in refusal(tmp_path / "a.tsv")


def test_columns_are_checked_before_any_work(tmp_path: Path) -> None:
    check_pairs(recipe(None))
    path = tsv(tmp_path / "a.tsv", *PAIRS, header=("question", "answer"))
    with pytest.raises(CorpusError, match="no column 'first'"):
        check_pairs(recipe({"paths": [str(path)]}))
    check_pairs(recipe({"paths": [str(path)], "first": "question", "second": "answer"}))


def test_pairs_are_stored_with_their_counts(tmp_path: Path, store: Store) -> None:
    path = tsv(tmp_path / "a.tsv", *PAIRS, ("an oar", "an oar"))
    pairs_recipe = recipe({"paths": [str(path)]})
    record = gather_pairs(pairs_recipe, store)
    table = pq.read_table(record.path / "pairs.parquet")
    assert table.schema.names == ["first", "second"]
    assert list(zip(*table.to_pydict().values(), strict=True)) == list(PAIRS)
    [file] = record.counts["input_files"]
    assert file["path"] == str(path)
    assert (record.counts["pairs"], record.counts["skipped"]) == (3, {"equal texts": 1})
    assert gather_pairs(pairs_recipe, store).reused
    alone = recipe({"paths": [str(path)], "with_strings": False})
    assert pairs_stage(alone).key == record.key
    tsv(path, *PAIRS[:2])
    assert pairs_stage(pairs_recipe).key != record.key


def test_fewer_pairs_than_a_batch_are_refused_without_strings(tmp_path: Path, store: Store) -> None:
    path = str(tsv(tmp_path / "a.tsv", *PAIRS))
    gather_pairs(recipe({"paths": [path]}, batch_size=4), store)
    with pytest.raises(SampleError, match="3 pairs, fewer than one batch of 4"):
        gather_pairs(recipe({"paths": [path], "with_strings": False}, batch_size=4), store)


def test_a_recipe_without_pairs_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no \[pairs\]"):
        pairs_stage(recipe(None))


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=20))
def test_every_row_becomes_a_pair_or_is_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tsv"
    numbered = [(str(number), *row) for number, row in enumerate(rows)]
    tsv(path, ("x", "kept for", "certain"), *numbered, header=("id", "first", "second"))
    found = read_pairs(section(path))
    assert len(found.pairs) + sum(found.skipped.values()) == len(rows) + 1
    assert len({frozenset(pair) for pair in found.pairs}) == len(found.pairs)
    assert all(a and b and a != b for a, b in found.pairs)


@pytest.mark.parametrize(
    ("first", "second", "fault"), [(-1, -2, "from 0"), (0, 0, "same column"), ("a", "a", "same")]
)
def test_negative_and_equal_columns_are_refused(
    first: str | int, second: str | int, fault: str
) -> None:
    with pytest.raises(ValidationError, match=fault):
        PairsSection(paths=("a.tsv",), first=first, second=second)


def test_a_tilde_means_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tsv(tmp_path / "mine.tsv", *PAIRS)
    assert read_pairs(PairsSection(paths=("~/mine.tsv",))).pairs == PAIRS
    (tmp_path / "mine.csv").write_text("a,b\n")
    with pytest.raises(
        CorpusError, match=r"~/mine\.csv .* has another ending than a file of pairs"
    ):
        read_pairs(PairsSection(paths=("~/mine.csv",)))
