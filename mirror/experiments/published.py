"""The paper's published tables as data: `studies/paper/*.toml`.

Values only (Liu et al. 2021, arXiv:2104.08027). The recipes that the rows name say how an encoder
is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mirror.config_base import Name, Section, read_section
from mirror.errors import StudyError
from mirror.experiments.study import STUDIES
from mirror.tuning_config import Pooling

TABLES = STUDIES / "paper"

Tolerance = Annotated[float, Field(gt=0)]
Setting = str | int | float | bool


class CellSettings(Section):
    """Settings of cells: row over column over table."""

    recipe: str | None = None
    """A recipe's name; `{column}` in it is replaced by the column's key."""
    partner: str | None = None
    """Recipe of the second language's encoder, for benchmarks that compare two."""
    benchmark: Name | None = None
    """A file in `benchmarks/`."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """Changes to the recipe's `[tuning]`."""
    reason: str = ""
    """Why these cells can never be measured."""


class TableColumn(CellSettings):
    """Column: a benchmark or metric."""

    key: Name
    label: str = ""
    """Empty means the key."""
    mean: bool = False
    """Whether it is the mean of the row's other columns."""
    metric: str = "score"
    """Which number of the benchmark; `score` is its main metric."""
    lower_is_better: bool = False
    tolerance: Tolerance | None = None
    """None means the table's tolerance."""

    @property
    def title(self) -> str:
        """Heading of the column."""
        return self.label or self.key


class TableRow(CellSettings):
    """Row: an encoder."""

    key: Name
    label: str
    kind: Literal["raw", "tuned", "published-only"]
    """The base without tuning; tuned by the recipe; or another method, only quoted."""
    pooling: Pooling | None = None
    """Pooling of a raw base."""
    strings: Literal["recipe", "random"] = "recipe"
    """Tuned on the recipe's strings, or on as many of random letters and digits."""
    values: tuple[float, ...]
    """As published, one for each column."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "raw") != (self.pooling is not None):
            raise ValueError("raw rows need `pooling`, and no others take it")
        if self.kind == "published-only" and (self.recipe or self.settings or self.benchmark):
            raise ValueError("published-only rows are not run: they take no recipe or settings")
        return self


class ExpectedOrdering(Section):
    """An ordering of cells that the paper concludes from the table."""

    text: str
    order: Annotated[tuple[str, ...], Field(min_length=2)]
    """Cells as `row/column`, from the greatest value to the least."""

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """The cells by row and column."""
        parts = (cell.partition("/") for cell in self.order)
        return tuple((row, column) for row, _, column in parts)


class PaperTable(CellSettings):
    """One table or figure of the paper."""

    name: str
    """The file's name without `.toml`."""
    id: str
    """Its number in the paper, for example `T3`."""
    also: tuple[str, ...] = ()
    """Tables of the appendix whose rows are included here."""
    title: str
    metric: str
    tolerance: Tolerance
    """Largest difference, in addition to our own spread, that counts as reproduced."""
    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]
    rows: Annotated[tuple[TableRow, ...], Field(min_length=1)]
    orderings: tuple[ExpectedOrdering, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All numbers that `--tables` accepts for it."""
        return (self.id, *self.also)

    def published(self, row: str, column: str) -> float:
        """Return the paper's value of a cell, by keys."""
        columns = [each.key for each in self.columns]
        [values] = [each.values for each in self.rows if each.key == row]
        return values[columns.index(column)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if faults := [*_faults_of_cells(self), *_faults_of_orderings(self)]:
            raise ValueError("; ".join(faults))
        return self


@dataclass(frozen=True)
class PaperCell:
    """One measured cell of a table, with the settings of table, column and row."""

    table: str
    row: str
    column: str
    recipe: str
    benchmark: str
    metric: str
    kind: Literal["raw", "tuned"]
    pooling: Pooling | None = None
    partner: str | None = None
    strings: Literal["recipe", "random"] = "recipe"
    settings: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    """Why it can never be measured."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Table, row and column."""
        return self.table, self.row, self.column


def cells_of(table: PaperTable) -> Iterator[PaperCell]:
    """Return the measured cells, without quoted rows and means."""
    for row in table.rows:
        for column in table.columns:
            if row.kind != "published-only" and not column.mean:
                yield _cell(table, row, column)


def _cell(table: PaperTable, row: TableRow, column: TableColumn) -> PaperCell:
    layers: tuple[CellSettings, ...] = (table, column, row)
    merged: dict[str, Any] = {}
    for layer in layers:
        for name in ("recipe", "partner", "benchmark", "reason"):
            merged[name] = getattr(layer, name) or merged.get(name)
    return PaperCell(
        table=table.name,
        row=row.key,
        column=column.key,
        recipe=str(merged["recipe"] or "").replace("{column}", column.key),
        benchmark=merged["benchmark"] or "",
        metric=column.metric,
        kind="raw" if row.kind == "raw" else "tuned",
        pooling=row.pooling,
        partner=merged["partner"],
        strings=row.strings,
        settings={name: value for layer in layers for name, value in layer.settings.items()},
        reason=merged["reason"] or "",
    )


def _faults_of_cells(table: PaperTable) -> Iterator[str]:
    for what, parts in (("rows", table.rows), ("columns", table.columns)):
        keys = [part.key for part in parts]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            yield f"{what} {', '.join(twice)} are there twice"
    for row in table.rows:
        if len(row.values) != len(table.columns):
            yield f"row {row.key} has {len(row.values)} values for {len(table.columns)} columns"
        for column in table.columns if row.kind != "published-only" else ():
            layers: tuple[CellSettings, ...] = (row, column, table)
            if column.mean or any(layer.reason for layer in layers):
                continue
            if not any(layer.benchmark for layer in layers):
                yield f"cell {row.key}/{column.key} has no benchmark"
            if not any(layer.recipe for layer in layers):
                yield f"cell {row.key}/{column.key} has no recipe"


def _faults_of_orderings(table: PaperTable) -> Iterator[str]:
    rows = {row.key for row in table.rows if len(row.values) == len(table.columns)}
    columns = {column.key for column in table.columns}
    for ordering in table.orderings:
        if unknown := [f"{r}/{c}" for r, c in ordering.cells if r not in rows or c not in columns]:
            yield f"ordering {ordering.text!r} names {', '.join(unknown)}, which are not there"
            continue
        values = [table.published(row, column) for row, column in ordering.cells]
        if any(first <= second for first, second in pairwise(values)):
            yield f"ordering {ordering.text!r} contradicts the published values"


def read_table(path: Path) -> PaperTable:
    """Read a table's file.

    Raises:
        StudyError: the file is missing, is not TOML, or is invalid; all faults are listed.
    """
    return read_section(path, PaperTable, StudyError)


def read_tables(chosen: Sequence[str] = (), folder: Path | None = None) -> tuple[PaperTable, ...]:
    """Return the paper's tables in the order of their files; only those in `chosen`, if given.

    Args:
        chosen: numbers such as `T3`, `3` or `fig4`.
        folder: other tables than the project's.

    Raises:
        StudyError: files are invalid (all faults are listed), or a table in `chosen` is unknown.
    """
    tables, faults = [], []
    for path in sorted((folder or TABLES).glob("*.toml")):
        try:
            tables.append(read_table(path))
        except StudyError as fault:
            faults.append(str(fault))
    if faults:
        raise StudyError("\n".join(faults))
    ids = {_normalised_id(name) for name in chosen}
    known = {_normalised_id(name) for table in tables for name in table.ids}
    if unknown := sorted(ids - known):
        listed = ", ".join(name for table in tables for name in table.ids)
        raise StudyError(f"no table {', '.join(unknown)} of the paper: choose from {listed}")
    return tuple(
        table for table in tables if not ids or ids & {_normalised_id(name) for name in table.ids}
    )


def _normalised_id(name: str) -> str:
    """Return `T3`, `3`, `Fig. 4` and `fig4` in one form."""
    letters = "".join(letter for letter in name.lower() if letter.isalnum())
    return f"t{letters}" if letters.isdigit() else letters
