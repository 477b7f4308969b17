"""The paper's tables beside ours: as Markdown, as one HTML page, and as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirror.errors import StoreError
from mirror.experiments.paper_cells import FilledCell, FilledTable, Value
from mirror.experiments.paper_formatting import number
from mirror.rendering import fill_template
from mirror.store import flush

FOLDER = "paper"
MARKDOWN, PAGE, RESULTS = "paper.md", "paper.html", "results.json"
MARKS = {"reproduced": "=", "better": "▲", "worse": "▼"}
EMPTY = "–"


@dataclass(frozen=True)
class Report:
    """All that is told."""

    tables: tuple[FilledTable, ...]
    seeds: tuple[int, ...]
    bases: Mapping[str, str]
    """The paper's bases that were at hand: where each is from, and its digest."""
    stand_ins: Mapping[str, str]
    """By language, the name of what stands in and its digest."""
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    made_at: str
    """UTC, ISO 8601, to the minute."""
    seconds: float
    """Of tuning and measuring all that is shown, in this call or in those that it goes on from."""
    command: str
    """What makes it again."""


@dataclass(frozen=True)
class ShownCell:
    """A cell as people read it."""

    value: str
    spread: str = ""
    """Over seeds; nothing where there is one value."""
    kind: str = ""
    """The verdict, or nothing."""
    note: int | None = None
    """The number of the reason why it is empty."""

    @property
    def mark(self) -> str:
        """The verdict's sign, or nothing."""
        return MARKS.get(self.kind, "")

    @property
    def text(self) -> str:
        """In one line: `.742 ± .001 =`, or `– [1]`."""
        spread = f"± {self.spread}" if self.spread else ""
        note = f"[{self.note}]" if self.note else ""
        return " ".join(part for part in (self.value, spread, self.mark, note) if part)


@dataclass(frozen=True)
class Line:
    """One line of a row: the paper's values, ours, or the stand-in's."""

    name: str
    cells: tuple[ShownCell, ...]

    @property
    def empty(self) -> ShownCell | None:
        """What all cells say, where all are empty for one reason."""
        first = self.cells[0]
        return first if first.note and set(self.cells) == {first} else None


@dataclass(frozen=True)
class ShownRow:
    """One row of the paper's table, in up to three lines."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class ShownTable:
    """A table as people read it."""

    id: str
    also: tuple[str, ...]
    title: str
    metric: str
    columns: tuple[str, ...]
    rows: tuple[ShownRow, ...]
    notes: tuple[str, ...]
    """Reasons, numbered from 1."""
    claims: tuple[tuple[str, str, str], ...]
    """What the paper reads from it, whether that holds on its own base, and on the stand-in."""

    @property
    def anchor(self) -> str:
        """For links within the page."""
        return "".join(letter for letter in self.id.lower() if letter.isalnum())


def show_table(filled: FilledTable) -> ShownTable:
    """Puts a table into words and marks."""
    table = filled.table
    notes: dict[str, int] = {}
    stands_in = any(cell.stand_in.measured for cell in filled.cells.values())
    rows = []
    for row in table.rows:
        cells = [filled.cells[row.key, column.key] for column in table.columns]
        lines = [Line("paper", tuple(ShownCell(number(cell.published)) for cell in cells))]
        if row.kind != "published-only":
            lines.append(Line("ours", tuple(_own(cell, notes) for cell in cells)))
            if stands_in:
                lines.append(Line("stand-in", tuple(_shown(c.stand_in, notes) for c in cells)))
        rows.append(ShownRow(row.label, tuple(lines)))
    claims = tuple((claim.text, claim.ours, claim.stand_in) for claim in filled.claims)
    columns = tuple(column.title for column in table.columns)
    metric = table.metric[:1].upper() + table.metric[1:]
    return ShownTable(
        table.id, table.also, table.title, metric, columns, tuple(rows), tuple(notes), claims
    )


def _own(cell: FilledCell, notes: dict[str, int]) -> ShownCell:
    shown = _shown(cell.ours, notes)
    return replace(shown, kind=str(cell.verdict)) if cell.verdict in MARKS else shown


def _shown(value: Value, notes: dict[str, int]) -> ShownCell:
    if (found := value.measured) is not None:
        return ShownCell(number(found.mean), number(found.spread) if len(found.values) > 1 else "")
    return ShownCell(EMPTY, note=notes.setdefault(value.reason, len(notes) + 1))


def verdict_counts(report: Report) -> dict[str, int]:
    """How many cells are reproduced, better, worse and not run."""
    found = Counter(
        cell.verdict
        for table in report.tables
        for cell in table.cells.values()
        if cell.verdict is not None
    )
    return {name: found[name] for name in ("reproduced", "better", "worse", "not run")}


def claim_counts(report: Report, side: str) -> dict[str, int]:
    """How many of the paper's orderings hold; `side` is `ours` or `stand_in`."""
    found = Counter(getattr(claim, side) for table in report.tables for claim in table.claims)
    return {name: found[name] for name in ("holds", "unclear", "does not hold", "not run")}


def render(report: Report, template: str) -> str:
    """The report by a template: `paper.md.j2` or `paper.html.j2`."""
    return fill_template(
        template,
        {
            "report": report,
            "tables": [show_table(table) for table in report.tables],
            "verdicts": verdict_counts(report),
            "claims": {side: claim_counts(report, side) for side in ("ours", "stand_in")},
        },
    )


def results_content(report: Report) -> dict[str, Any]:
    """JSON-ready: every cell by table, row and column, with its values and reasons."""
    return {
        "seeds": list(report.seeds),
        "bases": dict(report.bases),
        "stand_ins": dict(report.stand_ins),
        "machine": dict(report.machine),
        "versions": dict(report.versions),
        "made_at": report.made_at,
        "seconds": report.seconds,
        "cells": [content for table in report.tables for content in _cell_contents(table)],
        "claims": [
            {"table": table.table.id, "claim": c.text, "ours": c.ours, "stand_in": c.stand_in}
            for table in report.tables
            for c in table.claims
        ],
    }


def _cell_contents(filled: FilledTable) -> Iterator[dict[str, Any]]:
    for (row, column), cell in filled.cells.items():
        yield {
            "table": filled.table.id,
            "row": row,
            "column": column,
            "published": cell.published,
            "verdict": cell.verdict,
            "ours": _value_content(cell.ours),
            "stand_in": _value_content(cell.stand_in),
        }


def _value_content(value: Value) -> dict[str, Any]:
    if value.measured is None:
        return {"reason": value.reason}
    found = value.measured
    return {"values": list(found.values), "mean": found.mean, "spread": found.spread}


def write_report(report: Report, workspace: Path, out: Path | None = None) -> Path:
    """Writes `paper.md`, `paper.html` and `results.json` into the workspace, and `out` if given.

    Returns:
        The page.

    Raises:
        StoreError: a file cannot be written; those that were there are as before.
    """
    folder = workspace / FOLDER
    text = render(report, "paper.md.j2")
    content = json.dumps(results_content(report), indent=1, ensure_ascii=False, allow_nan=False)
    _write(folder / RESULTS, content + "\n")
    _write(folder / MARKDOWN, text)
    _write(folder / PAGE, render(report, "paper.html.j2"))
    if out is not None:
        _write(out, text)
    return folder / PAGE


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        flush(part)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): free or allow its folder, and run again"
        ) from error
