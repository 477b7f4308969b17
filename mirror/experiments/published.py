"""The paper's published numbers, as data: `paper/tables/*.toml`.

Facts only: what was measured, on what, and what came out (Liu et al. 2021, arXiv:2104.08027).  How
an encoder is made stands in the recipes that the rows name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mirror.config_base import Name, Section, list_faults
from mirror.errors import PaperError
from mirror.paths import CHECKOUT
from mirror.tuning_config import Pooling

TABLES = CHECKOUT / "paper" / "tables"

Tolerance = Annotated[float, Field(gt=0)]
Setting = str | int | float | bool


class Part(Section):
    """What a table, a column or a row may say of its cells; the row has the last word."""

    recipe: str | None = None
    """A recipe's name; `{column}` in it stands for the column's key."""
    partner: str | None = None
    """The recipe of the second language's encoder, where a benchmark compares two."""
    benchmark: Name | None = None
    """A file in `benchmarks/`."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """What differs from the recipe's `[tuning]`."""
    reason: str = ""
    """Why these cells cannot be measured, whatever is at hand."""


class Column(Part):
    """What is measured."""

    key: Name
    label: str = ""
    """Nothing means the key."""
    mean: bool = False
    """The mean of the row's other columns."""
    measure: str = "score"
    """Which of the benchmark's numbers; `score` is the one that it is named for."""
    lower_is_better: bool = False
    tolerance: Tolerance | None = None
    """Nothing means the table's."""

    @property
    def title(self) -> str:
        """For people."""
        return self.label or self.key


class Row(Part):
    """Whose numbers these are."""

    key: Name
    label: str
    kind: Literal["raw", "tuned", "published-only"]
    """The base as it is; tuned by the recipe; or another method, quoted for comparison."""
    pooling: Pooling | None = None
    """raw: how the base is read."""
    strings: Literal["recipe", "random"] = "recipe"
    """What is tuned on: the recipe's strings, or as many of random letters and digits."""
    values: tuple[float, ...]
    """As published, one for each column."""

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> Self:
        if (self.kind == "raw") != (self.pooling is not None):
            raise ValueError("raw rows need `pooling`, and no others take it")
        if self.kind == "published-only" and (self.recipe or self.settings or self.benchmark):
            raise ValueError("published-only rows are not run: they take no recipe or settings")
        return self


class ExpectedOrdering(Section):
    """An ordering that the paper reads from the table."""

    text: str
    order: Annotated[tuple[str, ...], Field(min_length=2)]
    """Cells as `row/column`, from the greatest value to the least."""


class Table(Part):
    """One table or figure of the paper."""

    name: str
    """Its file's name without the ending."""
    id: str
    """As the paper counts, for example `T3`."""
    also: tuple[str, ...] = ()
    """Tables of the appendix whose rows are taken in here."""
    title: str
    metric: str
    tolerance: Tolerance
    """How far a value may be off and still count as reproduced, beside its own spread."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    claims: tuple[ExpectedOrdering, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All that `--tables` may call it."""
        return (self.id, *self.also)

    def published(self, row: str, column: str) -> float:
        """The paper's value of a cell, by keys."""
        columns = [found.key for found in self.columns]
        chosen = next(found for found in self.rows if found.key == row)
        return chosen.values[columns.index(column)]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if faults := [*_faults_of_cells(self), *_faults_of_claims(self)]:
            raise ValueError("; ".join(faults))
        return self


def _faults_of_cells(table: Table) -> Iterator[str]:
    for what, named in (("rows", table.rows), ("columns", table.columns)):
        keys = [part.key for part in named]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            yield f"{what} {', '.join(twice)} are there twice"
    for row in table.rows:
        if len(row.values) != len(table.columns):
            yield f"row {row.key} has {len(row.values)} values for {len(table.columns)} columns"
        for column in table.columns if row.kind != "published-only" else ():
            parts: tuple[Part, ...] = (row, column, table)
            if column.mean or any(part.reason for part in parts):
                continue
            if not any(part.benchmark for part in parts):
                yield f"cell {row.key}/{column.key} has no benchmark"
            if not any(part.recipe for part in parts):
                yield f"cell {row.key}/{column.key} has no recipe"


def _faults_of_claims(table: Table) -> Iterator[str]:
    rows = {row.key: row for row in table.rows if len(row.values) == len(table.columns)}
    columns = {column.key for column in table.columns}
    for claim in table.claims:
        cells = [cell.partition("/")[::2] for cell in claim.order]
        if unknown := [f"{r}/{c}" for r, c in cells if r not in rows or c not in columns]:
            yield f"claim {claim.text!r} names {', '.join(unknown)}, which are not there"
            continue
        values = [table.published(row, column) for row, column in cells]
        if any(first <= second for first, second in pairwise(values)):
            yield f"claim {claim.text!r} is not what the published values say"


def read_table(path: Path) -> Table:
    """Reads a table's file.

    Raises:
        PaperError: it is missing, is not TOML, or has faults; all are listed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PaperError(f"{path} cannot be read as TOML: {error}: get it again") from error
    try:
        return Table.model_validate({**content, "name": path.stem})
    except ValidationError as error:
        raise PaperError(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error


def read_tables(chosen: Sequence[str] = (), folder: Path | None = None) -> tuple[Table, ...]:
    """The paper's tables in the order of their files, or those that are called one of `chosen`.

    `folder` holds others than the project's.

    Raises:
        PaperError: files have faults (all are listed), or a name in `chosen` is no table's.
    """
    tables, faults = [], []
    for path in sorted((folder or TABLES).glob("*.toml")):
        try:
            tables.append(read_table(path))
        except PaperError as fault:
            faults.append(str(fault))
    if faults:
        raise PaperError("\n".join(faults))
    wanted = {_plain(name) for name in chosen}
    known = {_plain(name) for table in tables for name in table.ids}
    if unknown := sorted(wanted - known):
        listed = ", ".join(name for table in tables for name in table.ids)
        raise PaperError(
            f"the paper's tables here are {listed}: {', '.join(unknown)} is none of them"
        )
    return tuple(
        table for table in tables if not wanted or wanted & {_plain(name) for name in table.ids}
    )


def _plain(name: str) -> str:
    """`T3`, `3`, `Fig. 4` and `fig4` as people type them."""
    letters = "".join(letter for letter in name.lower() if letter.isalnum())
    return f"t{letters}" if letters.isdigit() else letters
