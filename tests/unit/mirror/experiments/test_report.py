"""Reports of studies and of the paper's tables: text tables, Markdown, page and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import StoreError
from mirror.experiments.plan import ExperimentPlan
from mirror.experiments.published import PaperTable
from mirror.experiments.report import (
    Report,
    facts,
    ordering_counts,
    render,
    results_content,
    verdict_counts,
    write_report,
    write_text,
)
from mirror.experiments.results import Measured
from mirror.experiments.text_tables import text_tables
from mirror.experiments.trial import with_changes
from tests.fixtures.pages import Page

from .conftest import BASE, GOOD, study_plan_and_values


def report_of(plan: ExperimentPlan, values: Any) -> Report:
    """Return a report with invented hardware and time."""
    return Report(
        plan,
        values,
        machine={"processor": "An <Invented> 9000 | fast", "cores": "2"},
        versions={"commit": "abc", "torch": "2.0"},
        made_at="2026-01-02 03:04 UTC",
        seconds=600.0,
        command="" if plan.study else "mirror study --paper --seeds 42,33",
    )


def study_report(name: str, *args: Any, **options: Any) -> Report:
    return report_of(*study_plan_and_values(name, *args, **options))


@pytest.fixture
def paper_report(measured_table: Callable[..., Any]) -> Callable[..., Report]:
    """Report on the invented table, with values on the stand-in or on the paper's base."""
    return lambda scores=GOOD, **options: report_of(*measured_table(scores, **options))


def test_a_studys_table_has_mean_spread_and_the_papers_value() -> None:
    report = study_report("mask-length")
    text = render(report, "study.md.j2")
    assert "| 2 | .550 ± .071 | .741 | .750 |" in text
    assert "| 20 | .590 ± .071 | .616 | .706 |" in text
    assert "Strings: 10,000 sentences of docstrings of installed packages." in text
    assert "Base: tiny (bbbbbbbbbbbb)." in text
    assert "Seeds: 1, 2." in text
    assert "In the paper: Table 13. " in text
    assert "## " not in text  # a single level has no heading


def test_levels_and_curves_are_separate() -> None:
    text = render(study_report("rate-and-temperature"), "study.md.j2")
    assert text.index("## Sentences") < text.index("## Words")
    assert "| 0.03 | learning rate 1e-05 | .550 ± .071 |" in text


def test_a_trial_without_a_score_leaves_its_reason() -> None:
    key = "mask-length, sentence, 5"
    text = render(study_report("mask-length", {(key, 1): "the vectors collapsed"}), "study.md.j2")
    assert "| 5 | .610 [1] | .743 | .753 |" in text
    assert "\n1. the vectors collapsed\n" in text
    failed = {(key, seed): "the vectors collapsed" for seed in (1, 2)}
    assert "| 5 | – [1] | .743 |" in render(study_report("mask-length", failed), "study.md.j2")


def test_a_report_has_no_folders_of_this_machine() -> None:
    plan, values = study_plan_and_values("number-of-strings", levels=("sentence",))
    base = replace(BASE, origin="/home/someone/bases/my-base")
    corpus = {
        "corpus.source": "files",
        "corpus.paths": ["/home/someone/a.parquet", "s3://bucket/b.txt"],
    }
    trials = tuple(
        replace(trial, recipe=with_changes(trial.recipe, corpus)) for trial in plan.trials
    )
    moved = replace(plan, trials=trials, bases={"sentence": base})
    found = dict(facts(report_of(moved, values)))
    assert found["base"] == "my-base (bbbbbbbbbbbb)"
    assert found["strings"] == "1,000 to 50,000 sentences of a.parquet, b.txt"


def test_documents_are_counted_as_documents() -> None:
    plan, values = study_plan_and_values("number-of-strings", levels=("sentence",))
    first, *others = plan.trials
    crops = with_changes(first.recipe, {"tuning.views": "crops", "sample.size": 6_000})
    mixed = replace(plan, trials=(replace(first, recipe=crops), *others))
    [text] = [text for name, text in facts(report_of(mixed, values)) if name == "strings"]
    assert text.startswith("1,000 to 50,000 sentences and 6,000 documents of ")


def test_a_studys_page_contains_its_figure_and_loads_nothing(tmp_path: Path) -> None:
    write_report(study_report("mask-length"), tmp_path)
    folder = tmp_path / "studies" / "mask-length"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["figure.svg", "report.html", "report.md", "results.json"]
    page = Page((folder / "report.html").read_text())
    tags = {tag for tag, _ in page.tags}
    assert "svg" in tags
    assert tags.isdisjoint({"script", "link", "img", "iframe"})
    content = json.loads((folder / "results.json").read_text())
    assert content["cells"][0]["values"] == [pytest.approx(0.5), pytest.approx(0.6)]
    assert content["seeds"] == [1, 2]
    assert {"table": "sentence", "row": "2", "column": "stsb", "base": "ours"}.items() <= (
        content["cells"][0].items()
    )
    assert {
        "table": "sentence",
        "row": "2",
        "column": "BERT, STS, mean of seven sets",
        "value": 0.741,
    } in content["published"]


def test_rows_have_a_line_for_each_base(paper_report: Callable[..., Report]) -> None:
    report = paper_report()
    [shown] = text_tables(report.plan, report.values)
    lines = {row[0].labels[0]: [line.source for line in row] for row in shown.rows}
    assert lines["Another method"] == ["paper"]
    assert lines["Base + Mirror"] == ["paper", "ours", "stand-in"]
    [full] = [row for row in shown.rows if row[0].labels[0] == "Base + Mirror"]
    assert [[str(cell) for cell in line.cells] for line in full] == [
        [".300", ".300", ".300", ".300"],
        ["– [1]", "– [1]", "– [2]", "– [3]"],
        [".310 ± .014", "– [4]", "– [2]", "– [3]"],
    ]


def test_equal_reasons_share_a_number(paper_report: Callable[..., Report]) -> None:
    report = paper_report()
    [shown] = text_tables(report.plan, report.values)
    assert len(shown.notes) == len(set(shown.notes))
    numbers = {cell.note for row in shown.rows for line in row for cell in line.cells}
    assert numbers - {None} == set(range(1, len(shown.notes) + 1))


def test_without_a_stand_in_its_lines_are_left_out(paper_report: Callable[..., Report]) -> None:
    report = paper_report(own=True)
    [shown] = text_tables(report.plan, report.values)
    assert all(line.source != "stand-in" for row in shown.rows for line in row)
    [full] = [row for row in shown.rows if row[0].labels[0] == "Base + Mirror"]
    cell = full[1].cells[0]
    assert (str(cell), cell.verdict) == (".310 ± .014 =", "reproduced")
    assert re.fullmatch(r"– \[\d\]", str(full[1].cells[2]))


def test_verdicts_are_counted(paper_report: Callable[..., Report]) -> None:
    own, stand_in = paper_report({**GOOD, "raw": (0.05,)}, own=True), paper_report()
    # Of 12 measured cells, two columns of each row have values.
    assert verdict_counts(own) == {"reproduced": 4, "better": 0, "worse": 2, "not run": 6}
    assert ordering_counts(stand_in, "stand-in")["holds"] == 1
    assert ordering_counts(own, "ours") == {
        "holds": 1,
        "unclear": 0,
        "does not hold": 0,
        "not run": 0,
    }


def test_markdown_tables_keep_their_columns(paper_report: Callable[..., Report]) -> None:
    report = paper_report()
    text = render(report, "study.md.j2")
    rows = [line for line in text.splitlines() if line.startswith("|") and "| paper |" in line]
    assert [len(re.split(r"(?<!\\)\|", line)) for line in rows] == [8, 8, 8, 8]
    assert "Base \\| plain" in text
    assert "| An &lt;Invented> 9000 \\| fast |" in text
    assert "## T8 (T18): Noise &lt;b>& marks&lt;/b>" in text
    assert "mirror study --paper --seeds 42,33" in text
    assert "| Tuning helps, noise more. | not run | holds |" in text
    assert "with their standard deviation" in text
    assert "took 10 minutes" in text
    alone = replace(report, plan=replace(report.plan, seeds=(42,)))
    assert "with their standard deviation" not in render(alone, "study.md.j2")
    assert "\n\n\n" not in text.rstrip("\n")


def test_the_page_is_escaped_and_loads_nothing(paper_report: Callable[..., Report]) -> None:
    page = Page(render(paper_report(), "study.html.j2"))
    assert "T8 (T18): Noise <b>& marks</b>" in page.text
    assert "An <Invented> 9000 | fast" in page.text
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "b-"})
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ["#t8"]
    assert [attrs["id"] for _, attrs in page.tags if "id" in attrs] == ["t8"]
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        page.tags
    )


def test_every_cell_names_its_column_on_a_narrow_screen(
    paper_report: Callable[..., Report],
) -> None:
    report = paper_report()
    page = Page(render(report, "study.html.j2"))
    names = [attrs["data-name"] for tag, attrs in page.tags if tag == "td" and "data-name" in attrs]
    assert names.count("own") == names.count("avg") == 10  # one quoted row, three of three lines
    # A row without values and with one reason is one cell.
    empty = dict.fromkeys(report.values, Measured(reason="there is no base"))
    page = Page(render(replace(report, values=empty), "study.html.j2"))
    assert page.text.count("not run [1]") == 3
    assert [a["colspan"] for tag, a in page.tags if tag == "td" and "colspan" in a] == ["4"] * 3


def test_results_have_every_value_and_reason(
    paper_report: Callable[..., Report], table: PaperTable
) -> None:
    content = json.loads(json.dumps(results_content(paper_report())))
    cells = {(cell["row"], cell["column"], cell["base"]): cell for cell in content["cells"]}
    assert len(cells) == 24
    assert cells["full", "own", "stand-in"]["values"] == [0.30, 0.32]
    ours = cells["full", "own", "ours"]
    assert ours["verdict"] == "not run"
    assert "is not on this machine" in ours["reason"]
    assert content["orderings"][0]["stand-in"] == "holds"
    assert len(content["published"]) == 16


def test_all_files_of_the_paper_are_written(
    paper_report: Callable[..., Report], tmp_path: Path
) -> None:
    report = paper_report()
    home = tmp_path / "home"
    write_report(report, home)
    folder = home / "studies" / "paper"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["report.html", "report.md", "results.json"]
    for path in folder.iterdir():
        assert str(tmp_path) not in path.read_text()
    write_report(replace(report, seconds=60.0), home)
    assert "took 1 minutes" in (folder / "report.md").read_text()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file")
    with pytest.raises(StoreError, match=r"studies/mask-length/results\.json cannot .*no trial is"):
        write_report(study_report("mask-length"), tmp_path)
    with pytest.raises(StoreError, match=r"studies/out\.md cannot be written"):
        write_text(tmp_path / "studies" / "out.md", "text")
