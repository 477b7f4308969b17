"""Measured values of a study's cells, and verdicts on them.

A verdict compares our value with the published one, or our values with a published ordering.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from mirror.experiments.plan import BaseKind, CellKey, CellPlan, ExperimentPlan
from mirror.experiments.published import ExpectedOrdering, PaperTable, TableRow
from mirror.experiments.trial import TrialKey, TrialResult

Verdict = Literal["reproduced", "better", "worse", "not run"]
Ordering = Literal["holds", "unclear", "does not hold", "not run"]

ROUNDING = 1e-9
"""Tolerance for rounding of decimal fractions."""
INCOMPLETE_ROW = "the mean of the row needs all of its cells"


@dataclass(frozen=True)
class Measured:
    """Values of one cell, one for each seed, or why there are none."""

    values: tuple[float, ...] = ()
    """A single one where no seed affects the encoder."""
    reason: str = ""
    """Why there is no value, or none for some seeds."""
    tuning_seconds: float = 0.0
    """Mean over seeds; 0 for a raw encoder."""

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds (n - 1); 0 for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


NOT_MEASURED = Measured()
Values = Mapping[CellKey, Measured]


def measure_cells(
    plan: ExperimentPlan,
    results: Mapping[TrialKey, TrialResult],
    faults: Mapping[TrialKey, str],
    pairs: Values,
) -> dict[CellKey, Measured]:
    """Return the values of all cells.

    Args:
        plan: the cells.
        results: of the trials that succeeded.
        faults: why the other trials have no result.
        pairs: values of the cells that compare two encoders.
    """
    values = {
        key: pairs[key] if key in pairs else _measure(cell, results, faults, plan.study is not None)
        for key, cell in plan.cells.items()
    }
    for table in plan.tables:
        for row in table.rows:
            for kind in ("ours", "stand-in"):
                values |= _row_means(table, row, kind, values)
    return values


def _measure(
    cell: CellPlan,
    results: Mapping[TrialKey, TrialResult],
    faults: Mapping[TrialKey, str],
    partial: bool,
) -> Measured:
    """Return a cell's value for each seed; `partial` allows some seeds to have failed."""
    keys = [key for encoder in cell.encoders for key in encoder]
    reason = cell.reason or "; ".join(dict.fromkeys(faults[key] for key in keys if key in faults))
    if reason and not partial:
        return Measured(reason=reason)
    measured = [results[key] for key in keys if key in results]
    values = tuple(
        statistics.fmean(result.metric(name, cell.metric) for name in cell.benchmarks)
        for result in measured
    )
    seconds = statistics.fmean(result.tuning_seconds for result in measured) if measured else 0.0
    return Measured(values, reason, seconds)


def _row_means(
    table: PaperTable, row: TableRow, kind: BaseKind, values: Values
) -> dict[CellKey, Measured]:
    """Return the columns that are the mean of a row's other columns, for each seed."""
    means = [column.key for column in table.columns if column.mean]
    if row.kind == "published-only" or not means:
        return {}
    cells = [
        values[table.name, row.key, column.key, kind] for column in table.columns if not column.mean
    ]
    if all(cell.values for cell in cells):
        seeds = zip(*(cell.values for cell in cells), strict=True)
        mean = Measured(tuple(statistics.fmean(seed) for seed in seeds))
    else:
        reasons = {cell.reason for cell in cells if not cell.values}
        mean = Measured(reason=reasons.pop() if len(reasons) == 1 else INCOMPLETE_ROW)
    return {(table.name, row.key, column, kind): mean for column in means}


def table_verdicts(table: PaperTable, values: Values) -> dict[tuple[str, str], Verdict]:
    """Return the verdict on each cell that is measured on the paper's base, by row and column."""
    return {
        (row.key, column.key): judge(
            table.published(row.key, column.key),
            values.get((table.name, row.key, column.key, "ours"), NOT_MEASURED),
            column.tolerance or table.tolerance,
            lower_is_better=column.lower_is_better,
        )
        for row in table.rows
        if row.kind != "published-only"
        for column in table.columns
    }


def ordering_verdict(
    ordering: ExpectedOrdering, table: PaperTable, kind: BaseKind, values: Values
) -> Ordering:
    """Return whether an ordering that the paper reads from a table holds on a kind of base."""
    columns = {column for _, column in ordering.cells}
    return judge_order(
        [values.get((table.name, *cell, kind), NOT_MEASURED) for cell in ordering.cells],
        [table.published(*cell) for cell in ordering.cells],
        max(each.tolerance or table.tolerance for each in table.columns if each.key in columns),
    )


def judge(
    published: float, ours: Measured, tolerance: float, *, lower_is_better: bool = False
) -> Verdict:
    """Compare a measured value with the published one.

    Reproduced means a difference of at most the tolerance plus twice our spread over seeds.
    """
    if not ours.values:
        return "not run"
    difference = ours.mean - published
    if abs(difference) <= tolerance + 2 * ours.spread + ROUNDING:
        return "reproduced"
    return "better" if (difference > 0) != lower_is_better else "worse"


def judge_order(
    cells: Sequence[Measured], published: Sequence[float], tolerance: float
) -> Ordering:
    """Return whether values fall from each cell to the next, as published.

    A step counts if it is larger than the tolerance (or half of the published step, if that is
    less) and larger than twice the standard error of the difference. The ordering does not hold if
    a step counts in the other direction, and is unclear if a step does not count. A single seed has
    no spread, so only the tolerance guards against chance.

    Args:
        cells: our values, in published order from the largest.
        published: the paper's values of the same cells.
        tolerance: the table's.
    """
    if not all(cell.values for cell in cells):
        return "not run"
    least = [min(tolerance, abs(one - other) / 2) for one, other in pairwise(published)]
    steps = [_step(*pair, each) for pair, each in zip(pairwise(cells), least, strict=True)]
    if "rises" in steps:
        return "does not hold"
    return "unclear" if "level" in steps else "holds"


def _step(first: Measured, second: Measured, least: float) -> Literal["falls", "level", "rises"]:
    noise = max(least, 2 * (_squared_error(first) + _squared_error(second)) ** 0.5)
    difference = first.mean - second.mean
    if abs(difference) <= noise + ROUNDING:
        return "level"
    return "falls" if difference > 0 else "rises"


def _squared_error(cell: Measured) -> float:
    return cell.spread**2 / len(cell.values)
