"""Report of a study or of the paper's tables: Markdown, one HTML page, JSON and a figure."""

from __future__ import annotations

import json
import platform
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from markupsafe import Markup

from mirror.atomic_write import atomic_file
from mirror.corpus_config import find_source
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.experiments.figure import draw_figure
from mirror.experiments.plan import BaseKind, ExperimentPlan
from mirror.experiments.results import Ordering, Values, Verdict, ordering_verdict, table_verdicts
from mirror.experiments.study import Study
from mirror.experiments.text_tables import text_tables
from mirror.hardware import describe_machine
from mirror.provenance import git_commit, library_versions
from mirror.rendering import fill_template

FOLDER = "studies"
MARKDOWN, PAGE, RESULTS, FIGURE = "report.md", "report.html", "results.json", "figure.svg"
PAPER_TITLE = "The paper's tables, measured"
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy")
"""Packages that values depend on."""
BASE_KINDS: tuple[BaseKind, ...] = ("ours", "stand-in")


@dataclass(frozen=True)
class Report:
    """Values of a study, and how they were measured."""

    plan: ExperimentPlan
    values: Values
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    made_at: str
    """UTC, to the minute."""
    seconds: float
    """Tuning and scoring of everything shown, in this call or in earlier ones."""
    command: str = ""
    """The command that repeats it."""

    @property
    def title(self) -> str:
        """Heading of the report."""
        return self.plan.study.title if self.plan.study else PAPER_TITLE

    @property
    def introduction(self) -> str:
        """Where a study is in the paper, and what the paper found."""
        study = self.plan.study
        if study is None:
            return ""
        place = f"In the paper: {study.source}. " if study.source else ""
        return place + " ".join(study.finding.split())


def make_report(plan: ExperimentPlan, values: Values, seconds: float, command: str = "") -> Report:
    """Return the report of measured values, with this machine, its libraries and the time."""
    made_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    versions = {
        "commit": git_commit(),
        "python": platform.python_version(),
        **library_versions(LIBRARIES),
    }
    return Report(plan, values, describe_machine(), versions, made_at, seconds, command)


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """Return what the values were measured with, as names and texts."""
    plan = report.plan
    for text in dict.fromkeys(map(_base_text, plan.bases.values())):
        yield "base", text
    for language, base in sorted(plan.stand_ins.items()):
        yield f"stand-in for {language}", _base_text(base)
    if plan.study:
        yield "strings", "; ".join(_strings(plan.study, plan, level) for level in plan.levels)
    yield "seeds", ", ".join(map(str, plan.seeds))
    yield from report.machine.items()
    yield "versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())


def _base_text(base: EncoderRef) -> str:
    """Return a base's origin, without this machine's folders, and its digest."""
    origin = Path(base.origin).name if Path(base.origin).is_absolute() else base.origin
    return f"{origin} ({base.digest[:12]})"


def _strings(study: Study, plan: ExperimentPlan, level: str) -> str:
    """Return how many strings and documents a level is tuned on, and of what."""
    random = {v.label for v in study.all_variants if v.strings == "random"}
    recipes = [
        trial.recipe
        for trial in plan.trials
        if trial.recipe.level == level and trial.label.split(", ", 2)[2] not in random
    ]
    sizes: defaultdict[str, set[int]] = defaultdict(set)
    for recipe in recipes:
        unit = "documents" if recipe.tuning.uses_documents else f"{level}s"
        sizes[unit].add(recipe.sample.size)
    counts = (
        f"{min(numbers):,}{f' to {max(numbers):,}' if len(numbers) > 1 else ''} {unit}"
        for unit, numbers in sorted(sizes.items(), reverse=True)
    )
    corpus = recipes[0].corpus
    label = find_source(corpus.source).label(corpus)
    return f"{' and '.join(counts)} of {label or corpus.source}"


def verdict_counts(report: Report) -> dict[str, int]:
    """Return the number of cells with each verdict."""
    counts: Counter[str] = Counter(
        verdict
        for table in report.plan.tables
        for verdict in table_verdicts(table, report.values).values()
    )
    return {name: counts[name] for name in get_args(Verdict)}


def ordering_counts(report: Report, kind: BaseKind) -> dict[str, int]:
    """Return the number of expected orderings with each verdict on a kind of base."""
    counts: Counter[str] = Counter(
        ordering_verdict(ordering, table, kind, report.values)
        for table in report.plan.tables
        for ordering in table.orderings
    )
    return {name: counts[name] for name in get_args(Ordering)}


def render(report: Report, template: str, figure: str = "") -> str:
    """Return the report by a template: `study.md.j2` or `study.html.j2`."""
    return fill_template(
        template,
        {
            "report": report,
            "facts": list(facts(report)),
            "tables": text_tables(report.plan, report.values),
            "verdicts": verdict_counts(report),
            "orderings": {kind: ordering_counts(report, kind) for kind in BASE_KINDS},
            # `Markup` is safe: matplotlib escapes the labels in the SVG.
            "figure": Markup(figure[figure.find("<svg") :]) if figure else "",  # noqa: S704
        },
    )


def results_content(report: Report) -> dict[str, Any]:
    """Return every cell with its values and reason, ready for JSON."""
    plan = report.plan
    return {
        "name": plan.name,
        "title": report.title,
        "seeds": list(plan.seeds),
        "bases": [_base_text(base) for base in plan.bases.values()],
        "stand_ins": {language: _base_text(base) for language, base in plan.stand_ins.items()},
        "machine": dict(report.machine),
        "versions": dict(report.versions),
        "made_at": report.made_at,
        "seconds": report.seconds,
        "cells": list(_cell_contents(report)),
        "published": list(_published_contents(plan)),
        "orderings": [
            {
                "table": table.name,
                "ordering": ordering.text,
                **{k: ordering_verdict(ordering, table, k, report.values) for k in BASE_KINDS},
            }
            for table in plan.tables
            for ordering in table.orderings
        ],
    }


def _cell_contents(report: Report) -> Iterator[dict[str, Any]]:
    verdicts = {
        (table.name, *cell, "ours"): verdict
        for table in report.plan.tables
        for cell, verdict in table_verdicts(table, report.values).items()
    }
    for key, measured in report.values.items():
        table, row, column, kind = key
        content: dict[str, Any] = {"table": table, "row": row, "column": column, "base": kind}
        if measured.values:
            content["values"] = list(measured.values)
            content["mean"], content["spread"] = measured.mean, measured.spread
            content["tuning_seconds"] = measured.tuning_seconds
        if measured.reason:
            content["reason"] = measured.reason
        if key in verdicts:
            content["verdict"] = verdicts[key]
        yield content


def _published_contents(plan: ExperimentPlan) -> Iterator[dict[str, Any]]:
    for table in plan.tables:
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                yield {"table": table.name, "row": row.key, "column": column.key, "value": value}
    for level in plan.levels if plan.study else ():
        for title, values in plan.study.published_at(level).items() if plan.study else ():
            for label, value in values.items():
                yield {"table": level, "row": label, "column": title, "value": value}


def report_folder(name: str, workspace: Path) -> Path:
    """Return the folder of a study's report."""
    return workspace / FOLDER / name


def write_report(report: Report, workspace: Path) -> None:
    """Write a report's Markdown, page, JSON and, for a study, figure into its folder.

    Raises:
        StoreError: a file cannot be written; files that were there are unchanged.
    """
    study = report.plan.study
    folder = report_folder(report.plan.name, workspace)
    figure = draw_figure(study, report.plan, report.values) if study else ""
    content = json.dumps(results_content(report), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / RESULTS, content + "\n")
    write_text(folder / MARKDOWN, render(report, "study.md.j2"))
    write_text(folder / PAGE, render(report, "study.html.j2", figure))
    if figure:
        write_text(folder / FIGURE, figure)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none of it.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): free some space, correct the folder's "
            "permissions, or set MIRROR_HOME to another, and run again; no trial is lost"
        ) from error
