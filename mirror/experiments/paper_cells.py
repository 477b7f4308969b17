"""The paper's tables with our values in them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mirror.experiments.paper_jobs import Key, Work
from mirror.experiments.paper_plan import Cell, Place, Plan
from mirror.experiments.paper_verdicts import Measured, Ordering, Verdict, judge, judge_order
from mirror.experiments.published import Column, ExpectedOrdering, Row, Table
from mirror.experiments.trial import TrialResult

OF_OTHERS = "the mean of the row needs all of it"


@dataclass(frozen=True)
class Outcome:
    """What a job came to."""

    results: tuple[TrialResult, ...] = ()
    """One for each seed; none if it failed."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Value:
    """A measured value, or why there is none."""

    measured: Measured | None
    reason: str = ""


@dataclass(frozen=True)
class FilledCell:
    """One cell: the paper's value, ours, and that of a base that stands in for the paper's."""

    published: float
    ours: Value
    stand_in: Value
    verdict: Verdict | None
    """Of ours alone; nothing for what is only quoted."""


@dataclass(frozen=True)
class FilledClaim:
    """One ordering that the paper reads from a table."""

    text: str
    ours: Ordering
    stand_in: Ordering


@dataclass(frozen=True)
class FilledTable:
    """One table, whole."""

    table: Table
    cells: Mapping[tuple[str, str], FilledCell]
    """By row and column."""
    claims: tuple[FilledClaim, ...]


@dataclass(frozen=True)
class Side:
    """The work on one kind of base, and what it came to."""

    work: Work
    outcomes: Mapping[Key, Outcome]
    pairs: Mapping[Place, Value] = field(default_factory=dict)
    """By cell of a lexicon, what its two encoders came to together."""


def fill_table(
    table: Table, cells: Sequence[Cell], plan: Plan, ours: Side, other: Side
) -> FilledTable:
    """A table with our values; `other` are those of the stand-ins."""
    mine = {cell.place: cell for cell in cells if cell.table == table.name}
    sides = [_values(table, mine, plan, side) for side in (ours, other)]
    filled = {}
    for row in table.rows:
        for column in table.columns:
            key = (row.key, column.key)
            published = table.published(*key)
            own, stand_in = (values.get(key, Value(None)) for values in sides)
            verdict = None
            if row.kind != "published-only":
                tolerance = column.tolerance or table.tolerance
                verdict = judge(
                    published,
                    own.measured,
                    tolerance,
                    lower_is_better=column.lower_is_better,
                )
            filled[key] = FilledCell(published, own, stand_in, verdict)
    return FilledTable(
        table, filled, tuple(fill_claim(claim, table, *sides) for claim in table.claims)
    )


Values = dict[tuple[str, str], Value]


def _values(table: Table, cells: Mapping[Place, Cell], plan: Plan, side: Side) -> Values:
    values = {(cell.row, cell.column): _value(cell, plan, side) for cell in cells.values()}
    for row in table.rows:
        for column in table.columns:
            if column.mean and row.kind != "published-only":
                values[row.key, column.key] = _mean(row, table.columns, values)
    return values


def _value(cell: Cell, plan: Plan, side: Side) -> Value:
    keys = side.work.keys.get(cell.place)
    if keys is None:
        return Value(None, side.work.reasons[cell.place])
    for outcome in (side.outcomes[key] for key in keys):
        if not outcome.results:
            return Value(None, outcome.reason)
    if len(keys) > 1:
        return side.pairs[cell.place]
    members = plan.cells[cell.place].members
    of_seeds = (
        statistics.fmean(_read(result.details[name], cell.measure) for name in members)
        for result in side.outcomes[keys[0]].results
    )
    return Value(Measured(tuple(of_seeds)))


def _read(content: Mapping[str, Any], measure: str) -> float:
    """A benchmark's number by its name, from what `scores.json` says of the benchmark."""
    return float(content["score"] if measure == "score" else content["extra_metrics"][measure])


def _mean(row: Row, columns: Sequence[Column], values: Values) -> Value:
    """The mean of a row's cells, for each seed; raw cells have one value for all seeds."""
    cells = [values[row.key, column.key] for column in columns if not column.mean]
    known = [cell.measured.values for cell in cells if cell.measured is not None]
    if len(known) < len(cells):
        reasons = {cell.reason for cell in cells if cell.measured is None}
        return Value(None, reasons.pop() if len(reasons) == 1 else OF_OTHERS)
    return Value(Measured(tuple(statistics.fmean(seed) for seed in zip(*known, strict=True))))


def fill_claim(claim: ExpectedOrdering, table: Table, ours: Values, other: Values) -> FilledClaim:
    """An ordering, judged on our values and on those of the stand-ins."""
    keys = [(row, column) for row, _, column in (place.partition("/") for place in claim.order)]
    named = {column for _, column in keys}
    tolerance = max(
        column.tolerance or table.tolerance for column in table.columns if column.key in named
    )
    published = [table.published(*key) for key in keys]
    own, stand_in = (
        judge_order([values.get(key, Value(None)).measured for key in keys], published, tolerance)
        for values in (ours, other)
    )
    return FilledClaim(claim.text, own, stand_in)
