"""Plan of a study: its trials, and how each cell of its tables is measured.

Everything is checked before a trial runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mirror.config_base import Level, Name, Section
from mirror.corpus.sources import check_sources
from mirror.corpus_config import find_source
from mirror.encoders.base_settings import check_base_for
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BenchmarkError, StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import check_benchmarks
from mirror.experiments.published import PaperTable
from mirror.experiments.study import STANDARD_BENCHMARKS, Seeds, Study, Variant
from mirror.experiments.trial import Trial, TrialKey, on_random_strings, seed_trials, with_changes
from mirror.hashing import digest_of_json
from mirror.recipe import BaseSection, Recipe, find_recipe, parse_recipe
from mirror.store import Store

SHIPPED_RECIPE = "en-python-docs"
SHIPPED_BASE = "models/mirror-mini-en"
RETRIEVAL = "title-retrieval"
PAPER_TOKENS = 50
"""Tokens that the paper reads of a sentence."""
MOST_WORDS = 70_000
"""More than any study draws."""

BaseKind = Literal["ours", "stand-in"]
"""ours: the base that the table names, or that the study was asked to run on."""
CellKey = tuple[str, str, str, BaseKind]
"""Table or level, row, column and base."""


class StudyOptions(Section):
    """Bases, strings and benchmarks to run a study on; a study's or our defaults if left out."""

    base: str = ""
    """A model's folder, instead of the recipes' bases."""
    recipes: tuple[str, ...] = ()
    """Names or paths of recipes to take strings and settings from, at most one for each level."""
    corpus: str = ""
    """A Parquet file or another source of text, for sentences and names without a recipe."""
    benchmarks: tuple[Name, ...] = ()
    levels: tuple[Level, ...] = ()
    seeds: tuple[int, ...] = ()
    strings: int | None = None
    """Sample size, where the study does not vary it."""


@dataclass(frozen=True)
class CellPlan:
    """How a cell is measured, or why it cannot be."""

    encoders: tuple[tuple[TrialKey, ...], ...] = ()
    """Trials of one encoder, one for each seed; of two encoders for a bilingual lexicon."""
    benchmarks: tuple[str, ...] = ()
    """The value is the mean of these; usually one."""
    metric: str = "score"
    reason: str = ""


@dataclass(frozen=True)
class ExperimentPlan:
    """A study or the paper's tables, ready to run."""

    name: str
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    cells: Mapping[CellKey, CellPlan]
    study: Study | None = None
    """None for the paper's tables."""
    tables: tuple[PaperTable, ...] = ()
    """The paper's tables."""
    bases: Mapping[str, EncoderRef] = field(default_factory=dict)
    """By level of a study, or by origin."""
    stand_ins: Mapping[str, EncoderRef] = field(default_factory=dict)
    """By language."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels of a study, in order."""
        return tuple(dict.fromkeys(trial.recipe.level for trial in self.trials))

    @property
    def samples(self) -> tuple[Recipe, ...]:
        """A recipe for each sample that a study's trials need."""
        recipes: dict[str, Recipe] = {}
        for recipe in (trial.recipe for trial in self.trials):
            drawn = recipe.model_dump(mode="json", include={"corpus", "sample", "level"})
            drawn["documents"] = recipe.tuning.uses_documents
            recipes.setdefault(digest_of_json(drawn), recipe)
        return tuple(recipes.values())

    @property
    def strings(self) -> int:
        """Number of strings to tune on, counted once for each epoch."""
        return sum(
            trial.recipe.sample.size * trial.recipe.tuning.epochs
            for trial in self.trials
            if trial.kind == "tuned"
        )

    def estimate(self) -> str:
        """Return the amount of work in one line."""
        encoders = len({trial.label for trial in self.trials})
        return (
            f"{self.name}: {encoders} encoders, {len(self.trials)} trials over "
            f"{len(self.seeds)} seed(s), {self.strings:,} strings to tune on; finished trials are "
            "reused"
        )


def plan_study(
    study: Study, options: StudyOptions, find: Callable[[BaseSection], EncoderRef], store: Store
) -> ExperimentPlan:
    """Plan a study's trials.

    Args:
        study: its variants.
        options: base, strings, benchmarks, levels and seeds.
        find: returns a recipe's base.
        store: where random strings are written, if the study has any.

    Raises:
        StudyError: the study cannot run with these options.
        RecipeError: a recipe is invalid, or the study's settings do not go with it.
        BenchmarkError: a benchmark's definition or data is missing or damaged.
        CorpusError: a source of text is missing.
        BaseModelError: a base is missing or cannot be tuned.
        TokenizerError: its tokenizer cannot be used.
    """
    recipes = {level: _recipe(study, level, options) for level in _levels(study, options)}
    _check_data(study, recipes)
    seeds = options.seeds or study.seeds
    bases: dict[str, EncoderRef] = {level: find(recipe.base) for level, recipe in recipes.items()}
    trials: list[Trial] = []
    cells: dict[CellKey, CellPlan] = {}
    for level, recipe in recipes.items():
        for variant in study.all_variants:
            runs = _variant_trials(study, variant, recipe, bases[level], seeds, store)
            keys = tuple(trial.key for trial in runs)
            for column, benchmark, metric in _columns(study, recipe):
                key: CellKey = (level, variant.label, column, "ours")
                cells[key] = CellPlan((keys,), (benchmark,), metric)
            trials += runs
    for trial in trials:
        check_base_for(trial.recipe, Path(trial.base.folder), tuned=trial.kind == "tuned")
    return ExperimentPlan(study.name, seeds, tuple(trials), cells, study, bases=bases)


def _levels(study: Study, options: StudyOptions) -> tuple[Level, ...]:
    if unknown := set(options.levels) - set(study.levels):
        raise StudyError(
            f"{study.name} has no level {min(unknown)!r}: choose from {', '.join(study.levels)}"
        )
    return options.levels or study.levels


def _columns(study: Study, recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Return title, benchmark and metric of each column at a recipe's level."""
    for benchmark in recipe.evaluation.benchmarks:
        yield benchmark, benchmark, "score"
        for metric in study.extra_metrics.get(benchmark, ()):
            yield f"{benchmark}: {metric}", benchmark, metric


def _recipe(study: Study, level: Level, options: StudyOptions) -> Recipe:
    chosen = [recipe for recipe in map(find_recipe, options.recipes) if recipe.level == level]
    if len(chosen) > 1:
        raise StudyError(
            f"{chosen[0].name} and {chosen[1].name} are both of level {level!r}: name one for each"
        )
    recipe = chosen[0] if chosen else _default_recipe(study, level, options.corpus)
    benchmarks = options.benchmarks or study.benchmarks.get(level) or STANDARD_BENCHMARKS.get(level)
    changes: dict[str, Any] = {f"tuning.{key}": value for key, value in study.tuning.items()}
    if benchmarks:
        changes["evaluation.benchmarks"] = list(benchmarks)
    if options.base:
        changes["base"] = {"path": options.base}
    if options.strings:
        changes["sample.size"] = options.strings
    return with_changes(recipe, changes, f"study {study.name} on {recipe.name}")


def _default_recipe(study: Study, level: Level, corpus: str) -> Recipe:
    """Return the paper's settings for the level, on strings that every installation has."""
    content: dict[str, Any] = {
        "language": "en",
        "domain": "study",
        "level": level,
        "base": {"path": SHIPPED_BASE},
        "evaluation": {"benchmarks": list(STANDARD_BENCHMARKS.get(level, (RETRIEVAL,)))},
        "registry": {"model": "mirror-study"},
    }
    if level == "sentence":
        content["tuning"] = {"views": "identity", "max_tokens": PAPER_TOKENS}
    if level == "word":
        content["corpus"] = {"source": "wordfreq", "words": MOST_WORDS, "check_language": False}
    elif corpus:
        path = corpus if "://" in corpus else str(Path(corpus).absolute())
        content["corpus"] = {"source": "files", "paths": [path], "min_characters": 20}
    elif level == "sentence":
        content["corpus"] = find_recipe(SHIPPED_RECIPE).corpus.model_dump(mode="json")
    else:
        raise StudyError(
            f"{study.name} at level {level!r} needs strings: name a recipe of that level with "
            "--recipe, or a file with --corpus"
        )
    return parse_recipe(content, name=f"study-{level}", source=f"study {study.name}")


def _check_data(study: Study, recipes: Mapping[Level, Recipe]) -> None:
    for level, recipe in recipes.items():
        names = recipe.evaluation.benchmarks
        try:
            check_benchmarks(names)
        except BenchmarkError as error:
            raise BenchmarkError(
                f"{error}\nor choose others with --benchmarks; {RETRIEVAL} needs no data and no "
                "labels, and --level leaves out a level"
            ) from error
        retrieval = [name for name in names if read_definition(name).task == "retrieval"]
        if retrieval and find_source(recipe.corpus.source).is_word_list:
            raise StudyError(
                f"{retrieval[0]} searches passages, but the {level} level of {study.name} is tuned "
                "on a list of words, which has none: leave the level out with --level, or name a "
                "recipe of that level with --recipe"
            )
    for recipe in recipes.values():
        check_sources(recipe)


def _variant_trials(
    study: Study, variant: Variant, recipe: Recipe, base: EncoderRef, seeds: Seeds, store: Store
) -> list[Trial]:
    source = f"study {study.name}, variant {variant.label!r}"
    changed = with_changes(recipe, variant.changes, source)
    if variant.strings == "random":
        changed = on_random_strings(changed, store)
    options = {name: getattr(variant, name) for name in ("kind", "weights", "pooling")}
    label = f"{study.name}, {recipe.level}, {variant.label}"
    return list(seed_trials(label, changed, base, seeds, **options))
