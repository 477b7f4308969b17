"""Measured cells of studies and of the paper's tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.experiments.bases import BaseFolders
from mirror.experiments.paper_plan import plan_tables
from mirror.experiments.published import PaperTable, read_table
from mirror.experiments.results import (
    Measured,
    measure_cells,
    ordering_verdict,
    table_verdicts,
)
from mirror.experiments.trial import score_pair
from mirror.store import Store
from tests.fixtures.benchmarks import declare_files

from .conftest import GOOD, paper_plan_and_values, study_plan_and_values

SPACE = "sample-space: isotropy, table 9"


def test_scores_are_in_the_order_of_seeds() -> None:
    plan, values = study_plan_and_values("mask-length")
    assert plan.seeds == (1, 2)
    first, last = (values["sentence", label, "stsb", "ours"] for label in ("2", "20"))
    assert first.values == pytest.approx((0.5, 0.6))
    assert last.values == pytest.approx((0.54, 0.64))
    assert first.tuning_seconds == 3.0


def test_extra_metrics_follow_their_benchmarks_score() -> None:
    _, values = study_plan_and_values("isotropy")
    row = {key[2]: cell for key, cell in values.items() if key[:2] == ("word", "tuned")}
    assert list(row) == ["stsb", "sample-space", SPACE, "sample-space: mean vector norm"]
    assert row[SPACE].values == pytest.approx((0.13, 0.155))
    assert row["sample-space"].values == pytest.approx((0.26, 0.31))
    assert row["sample-space: mean vector norm"].values == pytest.approx((5.2, 6.2))


def test_a_study_shows_the_seeds_that_succeeded() -> None:
    _, values = study_plan_and_values("mask-length", {("mask-length, sentence, 5", 1): "collapsed"})
    cell = values["sentence", "5", "stsb", "ours"]
    assert cell.values == pytest.approx((0.61,))
    assert cell.reason == "collapsed"


def test_a_stand_in_is_never_compared_with_published_values(
    measured_table: Callable[..., Any], table: PaperTable
) -> None:
    _, values = measured_table(GOOD)
    assert values[table.name, "full", "own", "stand-in"] == Measured((0.30, 0.32))
    ours = values[table.name, "full", "own", "ours"]
    assert ours.values == ()
    assert ours.reason.startswith("someone/some-base is not on this machine")
    assert table_verdicts(table, values)["full", "own"] == "not run"
    [ordering] = table.orderings
    assert ordering_verdict(ordering, table, "ours", values) == "not run"
    assert ordering_verdict(ordering, table, "stand-in", values) == "holds"


def test_values_on_the_papers_base_are_compared(
    measured_table: Callable[..., Any], table: PaperTable
) -> None:
    _, values = measured_table({**GOOD, "no-noise": (0.25, 0.25)}, own=True)
    verdicts = table_verdicts(table, values)
    assert {row: verdicts.get((row, "own")) for row in ("raw", "full", "no-noise", "other")} == {
        "raw": "reproduced",
        "full": "reproduced",
        "no-noise": "better",
        "other": None,
    }
    assert ordering_verdict(table.orderings[0], table, "ours", values) == "holds"


def test_a_reversed_ordering_does_not_hold(
    measured_table: Callable[..., Any], table: PaperTable
) -> None:
    _, values = measured_table({**GOOD, "raw": (0.25,)})
    assert ordering_verdict(table.orderings[0], table, "stand-in", values) == "does not hold"


def test_a_failed_trial_empties_its_cell(
    measured_table: Callable[..., Any], table: PaperTable
) -> None:
    _, values = measured_table({**GOOD, "full": "the loss is not a number"})
    cell = values[table.name, "full", "own", "stand-in"]
    assert (cell.values, cell.reason) == ((), "the loss is not a number")
    assert ordering_verdict(table.orderings[0], table, "stand-in", values) == "not run"


def test_a_mean_needs_all_cells_of_its_row(
    measured_table: Callable[..., Any], table: PaperTable
) -> None:
    _, values = measured_table(GOOD)
    cell = values[table.name, "full", "avg", "stand-in"]
    assert (cell.values, cell.reason) == ((), "the mean of the row needs all of its cells")


def test_a_mean_is_taken_for_each_seed(
    table: PaperTable, invented_paper: Callable[[], Path], tiny_base: Path, store: Store
) -> None:
    invented_paper()
    columns = tuple(column for column in table.columns if column.key != "missing")
    rows = tuple(row.model_copy(update={"values": row.values[:3]}) for row in table.rows)
    shorter = table.model_copy(update={"columns": columns, "rows": rows})
    folders = BaseFolders(stand_ins={"en": tiny_base, "fr": tiny_base})
    scores = {**GOOD, "full": (0.1, 0.3), ("full", "strict"): (0.5, 0.9)}
    _, values = paper_plan_and_values(shorter, scores, folders, store)
    mean = values[shorter.name, "full", "avg", "stand-in"]
    assert mean.values == pytest.approx((0.3, 0.6))


def test_two_encoders_are_scored_on_a_lexicon(
    table: PaperTable,
    invented_paper: Callable[[], Path],
    tiny_base: Path,
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    invented_paper()
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    words = "baker farmer sailor teacher doctor painter miner judge weaver pilot"
    definition = 'task = "lexicon-induction"\nmetric = "acc@1"\nitems = 10\n'
    text = "".join(f"{word}\t{word}\n" for word in words.split(" "))
    definition += declare_files(tmp_path, {"learn.tsv": text, "try.tsv": text})
    (tmp_path / "definitions" / "own.toml").write_text(definition)
    encoder = EncoderRef(str(tiny_base), "digest", pooling="cls", max_tokens=20)
    record = score_pair(encoder, encoder, "own", store)
    # One base is mapped onto itself, so every word finds itself.
    assert record.counts == {"score": 1.0, "items": 10}
    assert score_pair(encoder, encoder, "own", store).reused


def test_a_cell_of_two_encoders_takes_their_score(
    table: PaperTable,
    invented_paper: Callable[[], Path],
    tiny_base: Path,
    tmp_path: Path,
    store: Store,
) -> None:
    invented_paper()
    path = tmp_path / "01-noise.toml"
    partner = 'key = "own"\npartner = "fr-trades"'
    path.write_text(path.read_text().replace('key = "own"', partner, 1))
    changed = read_table(path)
    folders = BaseFolders(stand_ins={"en": tiny_base, "fr": tiny_base})
    plan = plan_tables([changed], [changed], folders, (42,), store)
    key = (changed.name, "raw", "own", "stand-in")
    assert len(plan.cells[key].encoders) == 2
    faults = {trial.key: "not run here" for trial in plan.trials}
    values = measure_cells(plan, {}, faults, {key: Measured((0.75,))})
    assert values[key] == Measured((0.75,))
    assert values[changed.name, "full", "own", "stand-in"].reason == "not run here"
