"""Tables of a study as text: values, spreads, verdicts and numbered reasons for empty cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mirror.config_base import Level
from mirror.experiments.plan import BaseKind, ExperimentPlan
from mirror.experiments.published import PaperTable, TableRow
from mirror.experiments.results import (
    NOT_MEASURED,
    Measured,
    Ordering,
    Values,
    Verdict,
    ordering_verdict,
    table_verdicts,
)
from mirror.experiments.study import Study
from mirror.formatting import number

MARKS = {"reproduced": "=", "better": "▲", "worse": "▼"}
EMPTY = "–"


@dataclass(frozen=True)
class CellText:
    """One cell of a table for people."""

    value: str
    spread: str = ""
    """Over seeds; empty for a single value."""
    verdict: Verdict | None = None
    note: int | None = None
    """Number of the reason why the cell is empty or lacks seeds."""

    @property
    def mark(self) -> str:
        """Sign of the verdict."""
        return MARKS.get(self.verdict or "", "")

    def __str__(self) -> str:
        """Return the cell in one line: `.742 ± .001 =`, or `– [1]`."""
        spread = f"± {self.spread}" if self.spread else ""
        note = f"[{self.note}]" if self.note else ""
        return " ".join(part for part in (self.value, spread, self.mark, note) if part)


@dataclass(frozen=True)
class TableLine:
    """One line of a table."""

    source: str
    """`paper`, `ours` or `stand-in`."""
    labels: tuple[str, ...]
    cells: tuple[CellText, ...]

    @property
    def empty(self) -> CellText | None:
        """The common content of all cells, if all are empty for the same reason."""
        first = self.cells[0]
        return first if first.value == EMPTY and set(self.cells) == {first} else None


@dataclass(frozen=True)
class TextTable:
    """A table for people."""

    name: str
    """Short, for links."""
    title: str
    caption: str
    labels: tuple[str, ...]
    """Headings of the columns with labels."""
    columns: tuple[str, ...]
    rows: tuple[tuple[TableLine, ...], ...]
    """Each row in up to three lines."""
    notes: tuple[str, ...]
    """Reasons, numbered from 1."""
    orderings: tuple[tuple[str, Ordering, Ordering], ...] = ()
    """An expected ordering, and whether it holds on the paper's base and on the stand-in."""

    @property
    def anchor(self) -> str:
        """Its id in a page."""
        return "".join(letter for letter in self.name.lower() if letter.isalnum())

    @property
    def markdown_rows(self) -> list[tuple[object, ...]]:
        """All lines, with their labels and cells."""
        return [(*line.labels, *line.cells) for lines in self.rows for line in lines]


class _Notes(dict[str, int]):
    """Reasons by number; equal ones share a number."""

    def cell(self, measured: Measured, verdict: Verdict | None = None) -> CellText:
        """Return a cell's text, and number its reason."""
        reason = measured.reason
        note = self.setdefault(reason, len(self) + 1) if reason else None
        if not measured.values:
            return CellText(EMPTY, note=note)
        spread = number(measured.spread) if len(measured.values) > 1 else ""
        return CellText(number(measured.mean), spread, verdict, note)


def text_tables(plan: ExperimentPlan, values: Values) -> list[TextTable]:
    """Return all tables of a study, one for each level, or the paper's tables."""
    if plan.study is None:
        return [paper_table(table, values) for table in plan.tables]
    return [study_table(plan.study, level, plan, values) for level in plan.levels]


def study_columns(plan: ExperimentPlan, level: Level) -> list[str]:
    """Return the measured columns of a study at a level."""
    return list(dict.fromkeys(column for table, _, column, _ in plan.cells if table == level))


def study_table(study: Study, level: Level, plan: ExperimentPlan, values: Values) -> TextTable:
    """Return a level's table: a row for each variant, our columns and then the paper's."""
    columns, published = study_columns(plan, level), study.published_at(level)
    has_curves = any(variant.curve for variant in study.all_variants)
    notes, rows = _Notes(), []
    for variant in study.all_variants:
        label = variant.label
        labels = (label.split(", ")[0], variant.curve) if has_curves else (label,)
        ours = [notes.cell(values[level, label, column, "ours"]) for column in columns]
        theirs = [
            CellText(number(series[label]) if label in series else "")
            for series in published.values()
        ]
        rows.append((TableLine("ours", labels, (*ours, *theirs)),))
    return TextTable(
        name=level,
        title=f"{level.capitalize()}s" if len(plan.levels) > 1 else "",
        caption="",
        labels=(study.axis, "") if has_curves else (study.axis or "variant",),
        columns=(*columns, *(f"paper: {title}" for title in published)),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def paper_table(table: PaperTable, values: Values) -> TextTable:
    """Return a table of the paper: each row with lines of the paper, ours and the stand-in."""
    notes = _Notes()
    also = f" ({', '.join(table.also)})" if table.also else ""
    rows = tuple(tuple(_paper_lines(table, row, values, notes)) for row in table.rows)
    return TextTable(
        name=table.id,
        title=f"{table.id}{also}: {table.title}",
        caption=f"{table.metric[:1].upper()}{table.metric[1:]}.",
        labels=("", ""),
        columns=tuple(column.title for column in table.columns),
        rows=rows,
        notes=tuple(notes),
        orderings=tuple(
            (
                ordering.text,
                ordering_verdict(ordering, table, "ours", values),
                ordering_verdict(ordering, table, "stand-in", values),
            )
            for ordering in table.orderings
        ),
    )


def _paper_lines(
    table: PaperTable, row: TableRow, values: Values, notes: _Notes
) -> Iterator[TableLine]:
    yield TableLine("paper", (row.label, "paper"), tuple(CellText(number(v)) for v in row.values))
    if row.kind == "published-only":
        return
    verdicts = table_verdicts(table, values)
    has_stand_in = any(
        cell.values
        for (name, _, _, kind), cell in values.items()
        if name == table.name and kind == "stand-in"
    )
    kinds: tuple[BaseKind, ...] = ("ours", "stand-in") if has_stand_in else ("ours",)
    for kind in kinds:
        cells = (
            notes.cell(
                values.get((table.name, row.key, column.key, kind), NOT_MEASURED),
                verdicts[row.key, column.key] if kind == "ours" else None,
            )
            for column in table.columns
        )
        yield TableLine(kind, ("", kind), tuple(cells))
