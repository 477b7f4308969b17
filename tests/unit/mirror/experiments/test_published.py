"""The paper's published tables: complete, consistent, and validated when read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.experiments.plan import CellKey
from mirror.experiments.published import PaperTable, cells_of, read_table, read_tables
from mirror.experiments.results import Measured, ordering_verdict

ROUNDED = 0.0005
"""Half of the last printed digit."""
EXPECTED = ["T1", "T2", "T3", "T4", "T5", "T6", "Fig. 4", "T7", "T8", "T12", "T13", "T9", "T10"]


def shipped() -> tuple[PaperTable, ...]:
    return read_tables()


def test_every_table_is_there() -> None:
    assert [table.id for table in shipped()] == EXPECTED
    also = {name for table in shipped() for name in table.also}
    assert also == {"T14", "T16", "T17", "T18", "T19", "T20"}


@pytest.mark.parametrize("table", shipped(), ids=lambda table: table.name)
def test_published_means_are_those_of_their_rows(table: PaperTable) -> None:
    for row in table.rows:
        for position, column in enumerate(table.columns):
            if column.mean:
                others = [value for at, value in enumerate(row.values) if at != position]
                expected = sum(others) / len(others)
                assert row.values[position] == pytest.approx(expected, abs=ROUNDED + 1e-9)


def test_what_two_tables_both_give_agrees_within_their_tolerance() -> None:
    tables = {table.id: table for table in shipped()}
    off = {
        (base, column.key): tables["T3"].published(f"{base}-mirror", column.key)
        - tables["T7"].published(f"{base}-full", column.key)
        for base in ("bert", "roberta")
        for column in tables["T7"].columns
    }
    assert {key for key, by in off.items() if abs(by) > 0.00401} == {("bert", "sts13")}
    assert off["bert", "sts13"] == pytest.approx(0.005)
    assert tables["T3"].tolerance == tables["T7"].tolerance == 0.010
    same = [
        (
            tables["T8"].published("none", "sts12"),
            tables["T7"].published("roberta-neither", "sts12"),
        ),
        (tables["T10"].published("words", "en"), tables["T1"].published("bert-mirror", "en")),
        (tables["T10"].published("bert-mp", "en"), tables["T1"].published("bert-mp", "en")),
        (tables["T12"].published("bert", "0.1"), tables["T3"].published("bert-mirror", "avg")),
        (
            tables["T13"].published("roberta", "k-5"),
            tables["T3"].published("roberta-mirror", "avg"),
        ),
    ]
    assert all(first == second for first, second in same)


@pytest.mark.parametrize("table", shipped(), ids=lambda table: table.name)
def test_every_ordering_holds_for_the_papers_own_values(table: PaperTable) -> None:
    values: dict[CellKey, Measured] = {
        (table.name, row.key, column.key, "ours"): Measured((table.published(row.key, column.key),))
        for row in table.rows
        for column in table.columns
    }
    for ordering in table.orderings:
        assert ordering_verdict(ordering, table, "ours", values) == "holds", ordering.text


def test_cells_read_what_their_benchmark_measures() -> None:
    cells = [cell for table in shipped() for cell in cells_of(table) if cell.benchmark]
    for cell in cells:
        known = ("score", *read_definition(cell.benchmark).extra_metric_names())
        assert cell.metric in known, cell.key
    isotropy = {cell.column: cell.metric for cell in cells if cell.table == "12-isotropy"}
    assert isotropy == {
        f"{level}-{kind}": measure
        for level in ("word", "phrase", "sentence")
        for kind, measure in (("mvn", "mean vector norm"), ("is", "isotropy, table 9"))
    }


def test_values_are_those_of_the_paper() -> None:
    """Compare some of each with a second transcription."""
    tables = {table.id: table for table in shipped()}
    for name, row, column, value in [
        ("T1", "mbert-mirror", "ar", 0.097),
        ("T2", "pubmedbert-mirror", "bc5d-5", 0.962),
        ("T3", "roberta-drophead", "avg", 0.764),
        ("T4", "mbert-mirror", "es", 0.755),
        ("T5", "mbert-mp", "zh-he", 0.010),
        ("T6", "bert-mirror", "ru-fr", 0.345),
        ("Fig. 4", "bert-mirror-sts", "qnli", 0.665),
        ("T7", "roberta-no-mask", "sick-r", 0.663),
        ("T8", "controlled", "sts12", 0.452),
        ("T12", "roberta", "0.4", 0.677),
        ("T13", "bert", "k-20", 0.616),
        ("T9", "bert-mirror", "word-mvn", 2.11),
        ("T10", "random-fast", "en", 0.481),
    ]:
        assert tables[name].published(row, column) == value


def test_ablations_leave_out_what_they_say() -> None:
    tables = {table.id: table for table in shipped()}
    settings = {cell.row: dict(cell.settings) for cell in cells_of(tables["T7"])}
    assert settings["bert-full"] == {}
    assert settings["bert-no-dropout"] == {"dropout": 0.0}
    assert settings["bert-no-mask"] == {"mask_length": 0}
    assert settings["roberta-neither"] == {"dropout": 0.0, "mask_length": 0}
    assert {cell.column: cell.settings["mask_length"] for cell in cells_of(tables["T13"])} == {
        "k-2": 2,
        "k-5": 5,
        "k-10": 10,
        "k-15": 15,
        "k-20": 20,
    }


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        (["3"], ["T3"]),
        (["t3", "T12"], ["T3", "T12"]),
        (["T20"], ["T7"]),
        (["fig4", "Fig. 4"], ["Fig. 4"]),
        ([], EXPECTED),
    ],
)
def test_tables_are_found_by_their_names(chosen: list[str], ids: list[str]) -> None:
    assert [table.id for table in read_tables(chosen)] == ids


def test_an_unknown_table_is_refused_by_name() -> None:
    with pytest.raises(StudyError, match=r"no table t99 of the paper: choose from T1, T16, T2"):
        read_tables(["T1", "T99"])


FAULTS = [
    ('key = "own"\nbenchmark = "own"', 'key = "own"', "cell raw/own has no benchmark"),
    ('recipe = "en-trades"', "", "cell raw/own has no recipe"),
    ("values = [0.1, 0.1, 0.1, 0.1]", "values = [0.1]", "row raw has 1 values for 4 columns"),
    ('key = "missing"', 'key = "own"', "columns own are there twice"),
    (
        '"full/own", "no-noise/own"',
        '"no-noise/own", "full/own"',
        "contradicts the published values",
    ),
    ('"raw/own"]', '"raw/gone"]', "names raw/gone, which are not there"),
    ('pooling = "cls"', "", "raw rows need `pooling`"),
    ('label = "no noise"', 'label = "no noise"\npooling = "cls"', "no others take it"),
    ('label = "Another method"', 'label = "x"\nrecipe = "en-trades"', "are not run"),
    ("tolerance = 0.01", "tolerance = 0.01\ncolour = 1", "colour: unknown key"),
    ("mean = true", "mean = 1", "columns.3.mean"),
]


@pytest.mark.parametrize(("old", "new", "message"), FAULTS, ids=[fault[2] for fault in FAULTS])
def test_faults_are_named(
    table: PaperTable, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "01-noise.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StudyError) as fault:
        read_table(path)
    assert message in str(fault.value)
    assert "01-noise.toml has" in str(fault.value)


def test_all_faults_are_listed_at_once(table: PaperTable, tmp_path: Path) -> None:
    path = tmp_path / "01-noise.toml"
    text = path.read_text()
    for old, new, _ in FAULTS[2:6]:
        text = text.replace(old, new, 1)
    path.write_text(text)
    (tmp_path / "02-bad.toml").write_text("id = ")
    with pytest.raises(StudyError) as fault:
        read_tables(folder=tmp_path)
    for message in ("row raw has 1 values", "columns own are there twice", "02-bad.toml cannot be"):
        assert message in str(fault.value)
