"""Foreign texts, names and numbers appear in every page as escaped text.

`tests/unit/mirror/release/test_report.py`, `test_history.py`, `test_compatibility.py` and
`paper/test_filling.py` escape names in each page; `test_pages.py` looks at them in a browser.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mirror.experiments.figure import draw_figure
from mirror.experiments.report import render
from mirror.release.gate import Verdict
from mirror.release.model_card import render_card
from mirror.release.report import render_report
from mirror.release.run_results import RunResults
from mirror.rendering import cell
from tasks import artifacts
from tests.fixtures.flows import mirror_run as mirror_run
from tests.fixtures.flows import write_recipe as write_recipe
from tests.fixtures.mirror import recipe as recipe
from tests.fixtures.mirror import results as results
from tests.fixtures.mirror import write_stage as write_stage
from tests.fixtures.security import MARKED, SOURCE, TAG, HostileRun
from tests.fixtures.security import hostile_run as hostile_run
from tests.unit.mirror.experiments.conftest import study_plan_and_values
from tests.unit.mirror.experiments.test_report import report_of

NASTY = f"{TAG}<script>alert(2)</script>\"' onload='alert(3)' {MARKED} | `code` $x$ \\frac{{"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def assert_harmless(self) -> None:
        assert self.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "link", "base"})
        for name, value in self.attributes:
            assert not name.startswith("on")
            assert not re.match(r"\s*(javascript|data|https?):", value) or name.startswith("xmlns")
            assert "alert" not in value


def test_the_texts_of_a_poisoned_run_stand_in_its_report_as_text(hostile_run: HostileRun) -> None:
    [file] = hostile_run.home.glob("stages/report/*/report.html")
    page = Page(file.read_text())
    page.assert_harmless()
    assert page.text.count(TAG) > 20, "its neighbours are poisoned"


def test_what_a_run_leaves_on_prefects_pages_opens_no_tag(hostile_run: HostileRun) -> None:
    with closing(sqlite3.connect(hostile_run.home / "prefect" / "prefect.db")) as database:
        found = database.execute("SELECT key, type, data, description FROM artifact").fetchall()
    assert {"outcome", "scores", "stages"} <= {key for key, *_ in found}
    for _, kind, data, description in found:
        if kind == "markdown":
            assert not re.search(r"<[a-z/!]", f"{data} {description}")


def test_markdown_for_prefects_pages_opens_no_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(artifacts, "_in_run", lambda: True)
    monkeypatch.setattr(
        artifacts, "create_markdown_artifact", lambda markdown, **_: left.append(markdown)
    )
    artifacts.show_markdown("key", f"- **told**: {NASTY}", "")
    assert "<" not in left[0]
    assert left[0].startswith("- **told**: &lt;img")


@pytest.fixture
def nasty(results: RunResults) -> RunResults:
    """Results whose every name that is not checked elsewhere is hostile."""
    counts = {**results.corpus.counts, "rejected": {NASTY: 3, "duplicate": 1}}
    sample = {**results.sample.counts, "by_source": {NASTY: 400}}
    return replace(
        results,
        base=replace(results.base, origin=NASTY),
        corpus=replace(results.corpus, counts=counts),
        sample=replace(results.sample, counts=sample),
    )


def test_a_report_of_hostile_names_is_text(nasty: RunResults) -> None:
    page = Page(render_report(nasty, Verdict(True, (NASTY, "plain"))))
    page.assert_harmless()
    assert page.text.count(TAG) >= 2
    assert "{{ 7*7 }}" in page.text


def test_a_card_of_hostile_names_keeps_its_front_matter_and_opens_no_tag(nasty: RunResults) -> None:
    corpus = nasty.recipe.corpus.model_copy(
        update={"source": "files", "paths": (f"---\nlicense: mit\n{NASTY}",)}
    )
    tuning = nasty.recipe.tuning.model_copy(update={"prompt": f"`{TAG}`\n---\n[X] [MASK]"})
    changed = nasty.recipe.model_copy(update={"corpus": corpus, "tuning": tuning})
    card = render_card(replace(nasty, recipe=changed))
    _, matter, rest = card.split("---\n", 2)
    assert yaml.safe_load(matter)["language"] == "en"
    assert not re.search(r"(?m)^license: mit|^---$", rest)
    assert not re.search(r"<(img|script)", rest)


@pytest.mark.parametrize("licence", ["mit\nevil: 1", '"; evil: 1', "<script>", "x" * 5])
def test_a_bases_card_puts_nothing_but_a_licence_into_ours(
    licence: str, results: RunResults, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text(f"---\nlicense: {licence}\n---\n")
    card = render_card(replace(results, base=replace(results.base, folder=str(tmp_path))))
    matter = yaml.safe_load(card.split("---\n")[1])
    assert "evil" not in matter
    assert matter["license"] in ("unknown", "mit", "xxxxx")


def test_a_cell_stays_a_cell() -> None:
    assert cell("a | b\n| --- |\r\n<img src=x>") == "a \\| b \\| --- \\| &lt;img src=x>"


def test_a_study_of_hostile_names_is_drawn_and_written_as_text() -> None:
    plan, values = study_plan_and_values("mask-length")
    hostile = {"title": NASTY, "axis": NASTY, "source": f"a\n# b {NASTY}"}
    study = plan.study.model_copy(update=hostile)
    report = report_of(replace(plan, study=study), values)
    svg = draw_figure(study, report.plan, values)
    figure = ElementTree.fromstring(svg)
    kinds = {element.tag.rpartition("}")[2] for element in figure.iter()}
    assert kinds.isdisjoint({"script", "img", "image", "foreignObject", "a"})
    assert TAG in "".join(figure.itertext())
    Page(render(report, "study.html.j2", svg)).assert_harmless()
    written = render(report, "study.md.j2")
    assert not re.search(r"<(img|script)", written)
    assert not re.search(r"(?m)^# b", written)


def test_the_registry_has_the_verdict_and_nothing_of_the_texts(hostile_run: HostileRun) -> None:
    with closing(sqlite3.connect(hostile_run.home / "mlflow.db")) as database:
        dump = "\n".join(database.iterdump())
    assert "mirror-en-tiny" in dump
    assert SOURCE not in dump
    assert "onerror" not in dump.replace(str(hostile_run.folder), "")
