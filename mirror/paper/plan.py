"""Which encoders the paper's tables ask for, and what each is measured on.

An encoder is measured once, on all that any table asks of it, whichever tables are wanted now: so
a longer call reuses what a shorter one made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mirror.benchmark import definition_digest, read_definition
from mirror.errors import BenchmarkError, MirrorError, PaperError
from mirror.paper.tables import Column, Part, Row, Table
from mirror.paper.wording import without_folders
from mirror.recipe import RECIPES, Recipe, find_recipe, recipe_names
from mirror.store import digest_of_json
from mirror.trials import with_changes
from mirror.tuning_settings import Pooling

FOLDER = RECIPES / "paper"
"""Where the paper's recipes are."""

SPACE = "space"
"""Stands for a benchmark where the vectors of the strings tuned on are looked at themselves."""


@dataclass(frozen=True)
class Cell:
    """One number of one table, and how it is come by."""

    table: str
    row: str
    column: str
    recipe: str
    benchmark: str
    measure: str
    kind: Literal["raw", "tuned"]
    pooling: Pooling | None = None
    partner: str | None = None
    strings: Literal["recipe", "random"] = "recipe"
    settings: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    """Why it cannot be measured, whatever is at hand."""

    @property
    def place(self) -> tuple[str, str, str]:
        """Table, row and column."""
        return self.table, self.row, self.column


@dataclass(frozen=True)
class Encoder:
    """What is tuned, or read as it is, for some cells; on which base is said elsewhere."""

    recipe: Recipe
    kind: Literal["raw", "tuned"]
    pooling: Pooling | None
    strings: Literal["recipe", "random"] = "recipe"

    @property
    def identity(self) -> str:
        """Equal for encoders that the same base makes equal."""
        content = self.recipe.model_dump(mode="json", include={"corpus", "sample", "tuning"})
        tuning = content.pop("tuning")
        if self.kind == "raw":
            tokens = tuning["inference_tokens"] or tuning["max_tokens"]
            tuning = {"pooling": self.pooling, "max_tokens": tokens}
        return digest_of_json([content, tuning, self.kind, self.strings])


def cells_of(table: Table) -> Iterator[Cell]:
    """The cells that are measured: none of rows that are only quoted, nor of means."""
    for row in table.rows:
        for column in table.columns:
            if row.kind != "published-only" and not column.mean:
                yield _cell(table, row, column)


def _cell(table: Table, row: Row, column: Column) -> Cell:
    # The row has the last word.
    parts: tuple[Part, ...] = (table, column, row)
    said: dict[str, Any] = {}
    for part in parts:
        for name in ("recipe", "partner", "benchmark", "reason"):
            said[name] = getattr(part, name) or said.get(name)
    return Cell(
        table=table.name,
        row=row.key,
        column=column.key,
        recipe=str(said["recipe"] or "").replace("{column}", column.key),
        benchmark=said["benchmark"] or "",
        measure=column.measure,
        kind="raw" if row.kind == "raw" else "tuned",
        pooling=row.pooling,
        partner=said["partner"],
        strings=row.strings,
        settings={name: value for part in parts for name, value in part.settings.items()},
        reason=said["reason"] or "",
    )


def encoder_of(cell: Cell) -> Encoder:
    """The encoder of a cell.

    Raises:
        PaperError: there is no such recipe.
        RecipeError: it has faults, or the settings do not go with it.
    """
    if cell.recipe not in recipe_names(FOLDER):
        raise PaperError(f"there is no recipe paper/{cell.recipe}: write it, or update the project")
    recipe = find_recipe(cell.recipe, FOLDER)
    changes = {f"tuning.{name}": value for name, value in cell.settings.items()}
    if changes:
        recipe = with_changes(recipe, changes)
    return Encoder(recipe, cell.kind, cell.pooling, cell.strings)


@dataclass(frozen=True)
class Plan:
    """All cells of all tables, and what they need beside a base."""

    encoders: Mapping[tuple[str, str, str], Encoder]
    """By cell, those that can be described."""
    members: Mapping[tuple[str, str, str], tuple[str, ...]]
    """By cell, the benchmarks whose mean its value is; mostly one."""
    benchmarks: Mapping[str, tuple[str, ...]]
    """By an encoder's identity, all that it is measured on; may be nothing but its space."""
    reasons: Mapping[tuple[str, str, str], str]
    """Cells that cannot be measured on any base, and why."""


def make_plan(tables: Sequence[Table]) -> Plan:
    """Looks up recipes and benchmarks of all cells; `tables` are all of the paper's."""
    encoders: dict[tuple[str, str, str], Encoder] = {}
    members: dict[tuple[str, str, str], tuple[str, ...]] = {}
    benchmarks: dict[str, dict[str, None]] = {}
    reasons: dict[tuple[str, str, str], str] = {}
    faults: dict[str, str] = {}
    for cell in (cell for table in tables for cell in cells_of(table)):
        try:
            if cell.reason:
                raise PaperError(cell.reason)
            if cell.partner:
                raise PaperError("it compares two encoders, which trials do not make yet")
            encoder, names = encoder_of(cell), members_of(cell.benchmark)
            for name in names:
                if name not in faults:
                    faults[name] = fault_of_benchmark(name)
                if faults[name]:
                    raise PaperError(faults[name])
        except MirrorError as fault:
            reasons[cell.place] = without_folders(str(fault))
            continue
        encoders[cell.place], members[cell.place] = encoder, names
        scored = (name for name in names if name != SPACE)
        benchmarks.setdefault(encoder.identity, {}).update(dict.fromkeys(scored))
    return Plan(
        encoders,
        members,
        {identity: tuple(names) for identity, names in benchmarks.items()},
        reasons,
    )


def hub_ids() -> frozenset[str]:
    """The bases that the paper's recipes name, by their ids on the hub.

    Raises:
        RecipeError: a recipe has faults.
    """
    recipes = (find_recipe(name, FOLDER) for name in recipe_names(FOLDER))
    return frozenset(recipe.base.hub for recipe in recipes if recipe.base.hub is not None)


def members_of(benchmark: str) -> tuple[str, ...]:
    """What is scored for a benchmark: its members if it is an average, else itself.

    Raises:
        BenchmarkError: its definition is missing or has faults.
    """
    return (SPACE,) if benchmark == SPACE else read_definition(benchmark).of or (benchmark,)


def fault_of_benchmark(name: str) -> str:
    """Why a benchmark cannot be scored here; nothing if it can."""
    if name == SPACE:
        return ""
    try:
        definition_digest(read_definition(name))
    except BenchmarkError as fault:
        return str(fault)
    return ""
