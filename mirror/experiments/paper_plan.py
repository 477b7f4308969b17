"""Which encoders the paper's tables ask for, and what each is measured on.

An encoder is measured once, on all that any table asks of it, whichever tables are wanted now: so
a longer call reuses what a shorter one made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mirror.errors import BenchmarkError, MirrorError, PaperError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import definition_digest
from mirror.experiments.paper_formatting import without_folders
from mirror.experiments.published import Column, Part, Row, Table
from mirror.experiments.trial import with_changes
from mirror.hashing import digest_of_json
from mirror.recipe import RECIPES, Recipe, find_recipe, recipe_names
from mirror.tuning_config import Pooling

FOLDER = RECIPES / "paper"
"""Where the paper's recipes are."""


Place = tuple[str, str, str]
"""A cell: table, row and column."""


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
    def place(self) -> Place:
        """What tells it from all others."""
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
            tokens = tuning["inference_max_tokens"] or tuning["max_tokens"]
            tuning = {"pooling": self.pooling, "max_tokens": tokens, "prompt": tuning["prompt"]}
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
class Planned:
    """What a cell needs beside a base."""

    encoders: tuple[Encoder, ...]
    """One, or one for each language of a lexicon."""
    members: tuple[str, ...]
    """The benchmarks whose mean its value is; mostly one."""
    languages: tuple[str, ...]
    """That one base must know for it; of a lexicon's encoders each knows its own."""


@dataclass(frozen=True)
class Plan:
    """All cells of all tables."""

    cells: Mapping[Place, Planned]
    benchmarks: Mapping[str, tuple[str, ...]]
    """By an encoder's identity, all that it is measured on by itself."""
    reasons: Mapping[Place, str]
    """Cells that cannot be measured on any base, and why."""


def make_plan(tables: Sequence[Table]) -> Plan:
    """Looks up recipes and benchmarks of all cells; `tables` are all of the paper's."""
    planned: dict[Place, Planned] = {}
    benchmarks: dict[str, dict[str, None]] = {}
    reasons: dict[Place, str] = {}
    faults: dict[str, str] = {}
    for cell in (cell for table in tables for cell in cells_of(table)):
        try:
            found = _planned(cell, faults)
        except MirrorError as fault:
            reasons[cell.place] = without_folders(str(fault))
            continue
        planned[cell.place] = found
        for encoder in found.encoders:
            names = benchmarks.setdefault(encoder.identity, {})
            if cell.partner is None:
                names.update(dict.fromkeys(found.members))
    return Plan(planned, {key: tuple(names) for key, names in benchmarks.items()}, reasons)


def _planned(cell: Cell, faults: dict[str, str]) -> Planned:
    """What a cell needs; `faults` remembers of each benchmark what is wrong with it, or nothing.

    Raises:
        MirrorError: it cannot be measured.
    """
    if cell.reason:
        raise PaperError(cell.reason)
    encoders = [encoder_of(cell)]
    if cell.partner is not None:
        encoders.append(encoder_of(replace(cell, recipe=cell.partner)))
    definition = read_definition(cell.benchmark)
    members = definition.members or (cell.benchmark,)
    for name in members:
        if name not in faults:
            faults[name] = fault_of_benchmark(name)
        if faults[name]:
            raise PaperError(faults[name])
    languages = {encoders[0].recipe.language}
    if cell.partner is None:
        languages.update(definition.languages)
    return Planned(tuple(encoders), members, tuple(sorted(languages)))


def hub_ids() -> frozenset[str]:
    """The bases that the paper's recipes name, by their ids on the hub.

    Raises:
        RecipeError: a recipe has faults.
    """
    recipes = (find_recipe(name, FOLDER) for name in recipe_names(FOLDER))
    return frozenset(recipe.base.hub for recipe in recipes if recipe.base.hub is not None)


def fault_of_benchmark(name: str) -> str:
    """Why a benchmark cannot be scored here; nothing if it can."""
    try:
        definition_digest(read_definition(name))
    except BenchmarkError as fault:
        return str(fault)
    return ""
