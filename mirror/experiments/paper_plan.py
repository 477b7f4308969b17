"""Plan of the paper's tables: the encoders that their cells need, on the bases of this machine.

An encoder is scored once, on all benchmarks that any table needs, whichever tables are chosen. So a
later call with more tables reuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mirror.config_base import Section
from mirror.corpus.sources import check_sources
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BenchmarkError, MirrorError, StoreError, StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import definition_digest
from mirror.experiments.bases import (
    BaseFolders,
    paper_base,
    read_named,
    read_stand_ins,
    stand_in_base,
    without_folders,
)
from mirror.experiments.plan import BaseKind, CellKey, CellPlan, ExperimentPlan
from mirror.experiments.published import PaperCell, PaperTable, cells_of, read_tables
from mirror.experiments.study import PAPER
from mirror.experiments.trial import Trial, TrialKey, on_random_strings, seed_trials, with_changes
from mirror.hashing import digest_of_json
from mirror.paths import SHIPPED_BASE
from mirror.recipe import PAPER_RECIPES, Recipe, find_recipe, recipe_names
from mirror.store import Store
from mirror.tuning_config import Pooling


class PaperOptions(Section):
    """Which tables to measure, and where their bases are."""

    tables: tuple[str, ...] = ()
    """Numbers such as `T3`; empty means all."""
    seeds: tuple[int, ...] = (42, 33, 44)
    bases: tuple[str, ...] = ()
    """`HUB_ID=PATH`."""
    folder: str = ""
    """Contains bases named by their hub ids."""
    download: bool = False
    stand_ins: tuple[str, ...] | None = ()
    """`PATH` or `LANGUAGE=PATH`; empty means the shipped base, and None no stand-in at all."""

    @property
    def command(self) -> str:
        """The command that repeats the experiment, without this machine's folders."""
        parts = ["mirror study --paper"]
        if self.tables:
            parts.append(f"--tables {','.join(self.tables)}")
        parts.append(f"--seeds {','.join(map(str, self.seeds))}")
        parts.extend(f"--base {pair.partition('=')[0]}=PATH" for pair in self.bases)
        parts.extend(["--bases DIR"] if self.folder else [])
        parts.extend(["--download"] if self.download else [])
        if self.stand_ins is None:
            parts.append("--no-stand-in")
        for text in self.stand_ins or ():
            language, separator, path = text.rpartition("=")
            parts.append(f"--stand-in {language}{separator}{Path(path).name}")
        return " ".join(parts)

    def base_folders(self) -> BaseFolders:
        """Return where bases are searched.

        Raises:
            StudyError: an option names something that does not exist.
        """
        folder = Path(self.folder).absolute() if self.folder else None
        if folder is not None and not folder.is_dir():
            raise StudyError(f"--bases {self.folder}: there is no such folder: correct the path")
        stand_ins = {}
        if self.stand_ins is not None:
            stand_ins = read_stand_ins(self.stand_ins, SHIPPED_BASE)
        return BaseFolders(read_named(self.bases, hub_ids()), folder, self.download, stand_ins)


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder that some cells need, on any base."""

    recipe: Recipe
    kind: Literal["raw", "tuned"]
    pooling: Pooling | None
    strings: Literal["recipe", "random"] = "recipe"

    @property
    def identity(self) -> str:
        """A digest that is equal for specs that give the same encoder on the same base."""
        content = self.recipe.model_dump(mode="json", include={"corpus", "sample", "tuning"})
        tuning = content.pop("tuning")
        if self.kind == "raw":
            tokens = tuning["inference_max_tokens"] or tuning["max_tokens"]
            tuning = {"pooling": self.pooling, "max_tokens": tokens, "prompt": tuning["prompt"]}
        return digest_of_json([content, tuning, self.kind, self.strings])


def encoder_of(cell: PaperCell) -> EncoderSpec:
    """Return the encoder of a cell."""
    if cell.recipe not in recipe_names(PAPER_RECIPES):
        raise StudyError(f"there is no recipe paper/{cell.recipe}: write it, or update the project")
    recipe = find_recipe(cell.recipe, PAPER_RECIPES)
    changes = {f"tuning.{name}": value for name, value in cell.settings.items()}
    if changes:
        recipe = with_changes(recipe, changes)
    return EncoderSpec(recipe, cell.kind, cell.pooling, cell.strings)


def hub_ids() -> frozenset[str]:
    """Return the hub ids of the bases that the paper's recipes name."""
    recipes = (find_recipe(name, PAPER_RECIPES) for name in recipe_names(PAPER_RECIPES))
    return frozenset(recipe.base.hub for recipe in recipes if recipe.base.hub is not None)


def plan_paper(options: PaperOptions, store: Store) -> ExperimentPlan:
    """Plan the trials of the chosen tables; a cell that cannot be measured gets its reason.

    Raises:
        StudyError: a table is unknown or invalid, or an option names something that is not there.
        StoreError: the workspace cannot be written.
    """
    return plan_tables(
        read_tables(options.tables), read_tables(), options.base_folders(), options.seeds, store
    )


def plan_tables(
    chosen: Sequence[PaperTable],
    all_tables: Sequence[PaperTable],
    folders: BaseFolders,
    seeds: tuple[int, ...],
    store: Store,
) -> ExperimentPlan:
    """Plan the trials of `chosen`; encoders are scored on what any of `all_tables` needs."""
    planner = _Planner(all_tables, folders, seeds, store)
    cells: dict[CellKey, CellPlan] = {}
    for kind in ("ours", "stand-in"):
        for cell in (cell for table in chosen for cell in cells_of(table)):
            cells[(*cell.key, kind)] = planner.plan_cell(cell, kind)
    return ExperimentPlan(
        name=PAPER,
        seeds=seeds,
        trials=tuple(planner.trials.values()),
        cells=cells,
        tables=tuple(chosen),
        bases=planner.bases,
        stand_ins=planner.stand_ins,
    )


@dataclass(frozen=True)
class _CellNeeds:
    """What a cell needs in addition to a base."""

    encoders: tuple[EncoderSpec, ...]
    """Two for a bilingual lexicon."""
    benchmarks: tuple[str, ...]
    languages: tuple[str, ...]
    """Languages that the first encoder's base must know."""


class _Planner:
    """Finds recipes and benchmarks for each cell, and bases and trials for each encoder once."""

    def __init__(
        self,
        tables: Sequence[PaperTable],
        folders: BaseFolders,
        seeds: tuple[int, ...],
        store: Store,
    ) -> None:
        self.trials: dict[TrialKey, Trial] = {}
        self.bases: dict[str, EncoderRef] = {}
        self.stand_ins: dict[str, EncoderRef] = {}
        self._folders, self._seeds, self._store = folders, seeds, store
        self._labels: dict[str, str] = {}
        self._faults: dict[str, str] = {}
        self._needs: dict[tuple[str, str, str], _CellNeeds | str] = {}
        self._benchmarks: dict[str, dict[str, None]] = {}
        self._planned: dict[tuple[str, BaseKind, tuple[str, ...]], tuple[TrialKey, ...] | str] = {}
        for cell in (cell for table in tables for cell in cells_of(table)):
            self._needs[cell.key] = self._find_needs(cell)

    def plan_cell(self, cell: PaperCell, kind: BaseKind) -> CellPlan:
        needs = self._needs[cell.key]
        if isinstance(needs, str):
            return CellPlan(reason=needs)
        encoders = []
        for number, encoder in enumerate(needs.encoders):
            languages = (encoder.recipe.language,) if number else needs.languages
            keys = self._trial_keys(encoder, kind, languages)
            if isinstance(keys, str):
                return CellPlan(reason=keys)
            encoders.append(keys)
        return CellPlan(tuple(encoders), needs.benchmarks, cell.metric)

    def _find_needs(self, cell: PaperCell) -> _CellNeeds | str:
        """Return what a cell needs, or why it cannot be measured on any base."""
        try:
            needs = self._resolve(cell)
        except MirrorError as fault:
            return without_folders(str(fault))
        for encoder in needs.encoders:
            names = self._benchmarks.setdefault(encoder.identity, {})
            if cell.partner is None:
                names.update(dict.fromkeys(needs.benchmarks))
        return needs

    def _resolve(self, cell: PaperCell) -> _CellNeeds:
        if cell.reason:
            raise StudyError(cell.reason)
        encoders = [encoder_of(cell)]
        if cell.partner is not None:
            encoders.append(encoder_of(replace(cell, recipe=cell.partner)))
        definition = read_definition(cell.benchmark)
        members = definition.members or (cell.benchmark,)
        for name in members:
            if name not in self._faults:
                self._faults[name] = _fault_of_benchmark(name)
            if self._faults[name]:
                raise StudyError(self._faults[name])
        languages = {encoders[0].recipe.language}
        if cell.partner is None:
            languages.update(definition.languages)
        return _CellNeeds(tuple(encoders), members, tuple(sorted(languages)))

    def _trial_keys(
        self, encoder: EncoderSpec, kind: BaseKind, languages: tuple[str, ...]
    ) -> tuple[TrialKey, ...] | str:
        """Return the keys of an encoder's trials, or why it cannot be made."""
        key = (f"{encoder.recipe.name} {encoder.identity}", kind, languages)
        if key not in self._planned:
            try:
                self._planned[key] = self._plan_trials(encoder, kind, languages)
            except StoreError:
                raise
            except MirrorError as fault:
                self._planned[key] = without_folders(str(fault))
        return self._planned[key]

    def _plan_trials(
        self, encoder: EncoderSpec, kind: BaseKind, languages: Sequence[str]
    ) -> tuple[TrialKey, ...]:
        recipe = encoder.recipe
        if kind == "ours":
            base = paper_base(recipe, self._folders)
        else:
            base = stand_in_base(recipe, self._folders, languages)
        if encoder.strings == "random":
            recipe = on_random_strings(recipe, self._store)
        check_sources(recipe)
        names = self._benchmarks[encoder.identity] or recipe.evaluation.benchmarks
        recipe = with_changes(recipe, {"evaluation.benchmarks": list(names)})
        # Recipes with different names may make the same encoder, which is then made once.
        digest = digest_of_json([encoder.identity, base.digest])
        label = self._labels.setdefault(digest, f"{recipe.name} {digest[:8]}")
        trials = seed_trials(
            label, recipe, base, self._seeds, kind=encoder.kind, pooling=encoder.pooling
        )
        planned = {trial.key: trial for trial in trials}
        self.trials = {**planned, **self.trials}
        if kind == "ours":
            self.bases[base.origin] = base
        else:
            self.stand_ins[recipe.language] = base
        return tuple(planned)


def _fault_of_benchmark(name: str) -> str:
    """Return why a benchmark cannot be scored here, or an empty text."""
    try:
        definition_digest(read_definition(name))
    except BenchmarkError as fault:
        return str(fault)
    return ""
