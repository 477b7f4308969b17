"""The paper's tables with values in them, and what is written of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.experiments.bases import BasePlaces
from mirror.experiments.paper_cells import FilledTable, Outcome, Side, Value, fill_table
from mirror.experiments.paper_jobs import Work, find_work
from mirror.experiments.paper_pairs import encoder_place, score_pair
from mirror.experiments.paper_plan import cells_of, make_plan
from mirror.experiments.paper_report import (
    Report,
    claim_counts,
    render,
    results_content,
    show_table,
    verdict_counts,
    write_report,
)
from mirror.experiments.paper_verdicts import Measured
from mirror.experiments.published import Table, read_table
from mirror.experiments.trial import TrialResult, run_trial
from mirror.hashing import file_digest
from mirror.store import StageRecord, Store

EVALUATION = StageRecord("evaluation", "k", "/nowhere", "d", {}, 30.0)


def results(*values: float) -> Outcome:
    """What a job came to, one value of `own` for each seed."""
    made = (
        TrialResult("x", seed, {"own": value}, {"own": {"score": value}}, EVALUATION)
        for seed, value in enumerate(values)
    )
    return Outcome(tuple(made))


@pytest.fixture
def sides(
    table: Table, invented: Callable[[], Path], tiny_base: Path, store: Store
) -> Callable[..., FilledTable]:
    """Fills the table as if each row had come to these outcomes on the stand-in, or on its base."""
    invented()
    plan, cells = make_plan([table]), list(cells_of(table))

    def fill(outcomes: dict[str, Outcome], *, own: bool = False) -> FilledTable:
        named = {"someone/some-base": tiny_base} if own else {}
        places = BasePlaces(named=named, stand_ins={} if own else {"en": tiny_base})
        ours, other = (
            find_work(cells, plan, places, store, stand_in=stand_in) for stand_in in (False, True)
        )

        def side(work: Work) -> Side:
            keys = {place[1]: key for place, (key,) in work.keys.items() if place[2] == "own"}
            found = {key: Outcome(reason="it failed") for key in work.jobs}
            return Side(work, found | {key: outcomes[row] for row, key in keys.items()})

        return fill_table(table, cells, plan, side(ours), side(other))

    return fill


GOOD = {"raw": results(0.1), "full": results(0.30, 0.32), "no-noise": results(0.2, 0.2)}


def test_a_stand_in_is_never_judged_by_the_papers_level(sides: Callable[..., FilledTable]) -> None:
    filled = sides(GOOD)
    cell = filled.cells["full", "own"]
    assert cell.stand_in.measured == Measured((0.30, 0.32))
    assert (cell.published, cell.ours.measured, cell.verdict) == (0.3, None, "not run")
    assert cell.ours.reason.startswith("someone/some-base is not on this machine")
    [claim] = filled.claims
    assert (claim.ours, claim.stand_in) == ("not run", "holds")


def test_the_papers_own_base_is_judged(sides: Callable[..., FilledTable]) -> None:
    filled = sides({**GOOD, "no-noise": results(0.25)}, own=True)
    cells = {row: filled.cells[row, "own"] for row in ("raw", "full", "no-noise", "other")}
    verdicts = {row: cell.verdict for row, cell in cells.items()}
    assert verdicts == {
        "raw": "reproduced",
        "full": "reproduced",
        "no-noise": "better",
        "other": None,
    }
    assert filled.claims[0].ours == "holds"


def test_an_ordering_that_fails_is_said_to(sides: Callable[..., FilledTable]) -> None:
    filled = sides({**GOOD, "raw": results(0.25)})
    assert filled.claims[0].stand_in == "does not hold"


def test_a_job_that_failed_leaves_its_reason(sides: Callable[..., FilledTable]) -> None:
    filled = sides({**GOOD, "full": Outcome(reason="the loss is not a number")})
    cell = filled.cells["full", "own"]
    assert (cell.stand_in.measured, cell.stand_in.reason) == (None, "the loss is not a number")
    assert filled.claims[0].stand_in == "not run"


def test_a_mean_needs_its_whole_row(sides: Callable[..., FilledTable]) -> None:
    cell = sides(GOOD).cells["full", "avg"]
    assert cell.stand_in.measured is None
    assert cell.stand_in.reason == "the mean of the row needs all of it"


def test_a_mean_is_taken_seed_by_seed(
    table: Table, invented: Callable[[], Path], tiny_base: Path, store: Store
) -> None:
    invented()
    shorter = table.model_copy(
        update={
            "columns": tuple(column for column in table.columns if column.key != "missing"),
            "rows": tuple(row.model_copy(update={"values": row.values[:3]}) for row in table.rows),
        }
    )
    plan, cells = make_plan([shorter]), list(cells_of(shorter))
    places = BasePlaces(stand_ins={"en": tiny_base, "fr": tiny_base})
    none, work = (
        find_work(cells, plan, places, store, stand_in=stand_in) for stand_in in (False, True)
    )
    outcomes = {key: results(0.4) for key in work.jobs}
    outcomes[work.keys[table.name, "full", "own"][0]] = results(0.1, 0.3)
    outcomes[work.keys[table.name, "full", "strict"][0]] = results(0.5, 0.9)
    filled = fill_table(shorter, cells, plan, Side(none, {}), Side(work, outcomes))
    mean = filled.cells["full", "avg"].stand_in.measured
    assert mean is not None
    assert mean.values == pytest.approx((0.3, 0.6))


def test_two_encoders_are_scored_together(
    table: Table,
    invented: Callable[[], Path],
    tiny_base: Path,
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    invented()
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    path = tmp_path / "01-noise.toml"
    partner = 'key = "own"\npartner = "fr-trades"'
    path.write_text(path.read_text().replace('key = "own"', partner, 1))
    changed = read_table(path)
    words = "baker farmer sailor teacher doctor painter miner judge weaver pilot"
    definition = 'task = "lexicon-induction"\nmetric = "acc@1"\nitems = 10\n'
    for name in ("learn.tsv", "try.tsv"):
        (tmp_path / name).write_text("".join(f"{word}\t{word}\n" for word in words.split(" ")))
        digest = file_digest(tmp_path / name)
        definition += f'[[files]]\npath = "{name}"\nsha256 = "{digest}"\n'
    (tmp_path / "definitions" / "own.toml").write_text(definition)
    plan, cells = make_plan([changed]), list(cells_of(changed))
    places = BasePlaces(stand_ins={"en": tiny_base, "fr": tiny_base})
    none, work = (
        find_work(cells, plan, places, store, stand_in=stand_in) for stand_in in (False, True)
    )
    jobs = [work.jobs[key] for key in work.keys[changed.name, "raw", "own"]]
    first, second = (encoder_place(job, results(0.0).results[0]) for job in jobs)
    made = score_pair(first, second, "own", store)
    # One base is mapped onto itself: every word finds itself.
    assert made.counts == {"score": 1.0, "items": 10}
    assert score_pair(first, second, "own", store).reused
    value = Value(Measured((made.counts["score"],)))
    pairs = {place: value for place, keys in work.keys.items() if len(keys) == 2}
    side = Side(work, {key: results(0.0) for key in work.jobs}, pairs)
    filled = fill_table(changed, cells, plan, Side(none, {}), side)
    assert filled.cells["raw", "own"].stand_in == value
    assert filled.cells["raw", "strict"].stand_in.measured == Measured((0.0,))


def report_of(*tables: FilledTable, seeds: tuple[int, ...] = (42, 33)) -> Report:
    """A report with invented circumstances."""
    return Report(
        tables=tables,
        seeds=seeds,
        bases={},
        stand_ins={"en": "tiny-bert (0123456789ab)"},
        machine={"processor": "An <Invented> 9000 | fast", "cores": "2"},
        versions={"commit": "abc", "torch": "2.0"},
        made_at="2026-01-02 03:04 UTC",
        seconds=600.0,
        command="mirror paper --seeds 42,33",
    )


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_rows_have_a_line_for_each_side(sides: Callable[..., FilledTable]) -> None:
    shown = show_table(sides(GOOD))
    lines = {row.label: [line.name for line in row.lines] for row in shown.rows}
    assert lines["Another method"] == ["paper"]
    assert lines["Base + Mirror"] == ["paper", "ours", "stand-in"]
    [full] = [row for row in shown.rows if row.label == "Base + Mirror"]
    texts = [[cell.text for cell in line.cells] for line in full.lines]
    assert texts == [
        [".300", ".300", ".300", ".300"],
        ["– [1]", "– [1]", "– [2]", "– [3]"],
        [".310 ± .014", "– [4]", "– [2]", "– [3]"],
    ]


def test_equal_reasons_are_told_once(sides: Callable[..., FilledTable]) -> None:
    shown = show_table(sides(GOOD))
    assert len(shown.notes) == len(set(shown.notes))
    noted = {cell.note for row in shown.rows for line in row.lines for cell in line.cells}
    assert noted - {None} == set(range(1, len(shown.notes) + 1))


def test_without_a_stand_in_its_lines_are_left_out(sides: Callable[..., FilledTable]) -> None:
    shown = show_table(sides(GOOD, own=True))
    assert all(line.name != "stand-in" for row in shown.rows for line in row.lines)
    [full] = [row for row in shown.rows if row.label == "Base + Mirror"]
    assert (full.lines[1].cells[0].text, full.lines[1].cells[0].kind) == (
        ".310 ± .014 =",
        "reproduced",
    )
    assert re.fullmatch(r"– \[\d\]", full.lines[1].cells[2].text)


def test_counts_are_of_cells_and_claims(sides: Callable[..., FilledTable]) -> None:
    report = report_of(sides({**GOOD, "raw": results(0.05)}, own=True), sides(GOOD))
    # Each has 12 cells that are not quoted.  The raw base is one encoder for two columns, since its
    # recipes differ only in how they tune.
    assert verdict_counts(report) == {"reproduced": 2, "better": 0, "worse": 2, "not run": 20}
    assert claim_counts(report, "stand_in")["holds"] == 1
    assert claim_counts(report, "ours") == {
        "holds": 1,
        "unclear": 0,
        "does not hold": 0,
        "not run": 1,
    }


def test_markdown_tables_keep_their_columns(sides: Callable[..., FilledTable]) -> None:
    text = render(report_of(sides(GOOD)), "paper.md.j2")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.split(r"(?<!\\)\|", line)) for line in rows]
    of_table = [width for line, width in zip(rows, widths, strict=True) if "| paper |" in line]
    assert of_table == [8, 8, 8, 8]
    assert "Base \\| plain" in text
    assert "| An &lt;Invented> 9000 \\| fast |" in text
    assert "## T8 (T18): Noise <b>& marks</b>" in text
    assert "mirror paper --seeds 42,33" in text
    assert "| Tuning helps, noise more. | not run | holds |" in text
    assert "with their standard deviation" in text
    alone = render(report_of(sides(GOOD), seeds=(42,)), "paper.md.j2")
    assert "with their standard deviation" not in alone
    assert "\n\n\n" not in text.rstrip("\n")


def test_the_page_is_escaped_and_loads_nothing(sides: Callable[..., FilledTable]) -> None:
    rendered = render(report_of(sides(GOOD)), "paper.html.j2")
    page = Page(rendered)
    assert "Noise <b>& marks</b>" in page.text
    assert "<b>& marks" not in rendered
    assert "An <Invented> 9000 | fast" in page.text
    assert "http:" not in rendered
    assert "https:" not in rendered
    assert "@import" not in rendered
    assert "url(" not in rendered
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe"})
    links = [found["href"] for tag, found in page.tags if tag == "a"]
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert links == ["#t8"]
    assert ids == ["t8"]
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        page.tags
    )


def test_every_cell_tells_its_column_on_a_narrow_screen(
    sides: Callable[..., FilledTable],
) -> None:
    page = Page(render(report_of(sides(GOOD)), "paper.html.j2"))
    named = [found["data-name"] for tag, found in page.tags if tag == "td" and "data-name" in found]
    assert named.count("own") == named.count("avg") == 10  # one quoted row, three of three lines
    # On a machine with nothing, a line says so once.
    empty = sides(GOOD).cells
    reason = Value(None, "nothing is here")
    cells = {key: replace(cell, ours=reason, stand_in=reason) for key, cell in empty.items()}
    page = Page(render(report_of(replace(sides(GOOD), cells=cells)), "paper.html.j2"))
    assert page.text.count("not run [1]") == 3
    assert [f["colspan"] for tag, f in page.tags if tag == "td" and "colspan" in f] == ["4"] * 3


def test_results_hold_every_value_and_reason(sides: Callable[..., FilledTable]) -> None:
    content = json.loads(json.dumps(results_content(report_of(sides(GOOD)))))
    cells = {(cell["row"], cell["column"]): cell for cell in content["cells"]}
    assert len(cells) == 16
    assert cells["full", "own"]["stand_in"]["values"] == [0.30, 0.32]
    assert cells["full", "own"]["verdict"] == "not run"
    assert "is not on this machine" in cells["full", "own"]["ours"]["reason"]
    assert content["claims"][0]["stand_in"] == "holds"


def test_all_files_are_written_whole(sides: Callable[..., FilledTable], tmp_path: Path) -> None:
    report = report_of(sides(GOOD))
    out = tmp_path / "docs" / "paper.md"
    page = write_report(report, tmp_path / "home", out)
    assert page == tmp_path / "home" / "paper" / "paper.html"
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == ["paper.html", "paper.md", "results.json"]
    assert out.read_text() == (page.parent / "paper.md").read_text()
    for path in (*page.parent.iterdir(), out):
        assert str(tmp_path) not in path.read_text()
    again = replace(report, seconds=60.0)
    write_report(again, tmp_path / "home", out)
    assert "took 1 minutes" in out.read_text()


def test_a_file_that_cannot_be_written_is_named(
    sides: Callable[..., FilledTable], tmp_path: Path
) -> None:
    (tmp_path / "docs").write_text("a file")
    with pytest.raises(StoreError, match=r"docs/paper\.md cannot be written"):
        write_report(report_of(sides(GOOD)), tmp_path / "home", tmp_path / "docs" / "paper.md")


@pytest.mark.slow
def test_a_tiny_table_is_run_and_filled(
    table: Table, invented: Callable[[], Path], tiny_base: Path, store: Store
) -> None:
    invented()
    plan = make_plan([table])
    cells = [cell for cell in cells_of(table) if cell.column == "own"]
    places = BasePlaces(stand_ins={"en": tiny_base})
    none, work = (
        find_work(cells, plan, places, store, stand_in=stand_in) for stand_in in (False, True)
    )
    outcomes: dict[Any, Outcome] = {
        key: Outcome(tuple(run_trial(trial, store) for trial in job.trials((42,))))
        for key, job in work.jobs.items()
    }
    [column] = [column for column in table.columns if column.key == "own"]
    rows = tuple(row.model_copy(update={"values": row.values[:1]}) for row in table.rows)
    small = table.model_copy(update={"columns": (column,), "rows": rows})
    filled = fill_table(small, cells, plan, Side(none, {}), Side(work, outcomes))
    values = {row.key: filled.cells[row.key, "own"].stand_in.measured for row in rows}
    assert values.pop("other") is None
    found = {key: cell.values for key, cell in values.items() if cell is not None}
    assert set(found) == {"raw", "full", "no-noise"}
    assert all(len(cell) == 1 and -1 <= cell[0] <= 1 for cell in found.values())
    assert filled.claims[0].stand_in in ("holds", "unclear", "does not hold")
    base = EncoderRef(str(tiny_base), base_digest(tiny_base), tiny_base.name)
    assert {job.base for job in work.jobs.values()} == {base}
    # The same again is all there.
    [trial] = work.jobs[work.keys[table.name, "full", "own"][0]].trials((42,))
    assert run_trial(trial, store).reused
