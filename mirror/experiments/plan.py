"""What a study comes to on strings, a base and seeds: a list of trials, checked before any runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirror.config_base import Level, Name, Section
from mirror.corpus.sources import check_sources
from mirror.corpus_config import find_source
from mirror.encoders.base_model import check_base_for
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BenchmarkError, StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import check_benchmarks
from mirror.experiments.study import STANDARD_BENCHMARKS, Study, Variant
from mirror.experiments.trial import Trial, with_changes
from mirror.hashing import digest_of_json
from mirror.recipe import BaseSection, Recipe, find_recipe, parse_recipe
from mirror.sampling.random_strings import random_corpus
from mirror.store import Store

SHIPPED_RECIPE = "en-python-docs"
SHIPPED_BASE = "models/mirror-mini-en"
RETRIEVAL = "docstrings-retrieval"
MOST_WORDS = 70_000
"""More than any study draws."""


class StudyOptions(Section):
    """What a study is asked to run on; what is left out is the study's own choice, or ours."""

    base: str = ""
    """A model's folder, in place of the recipes' own bases."""

    recipes: tuple[str, ...] = ()
    """Names or paths, at most one for a level, whose strings and settings are taken."""
    corpus: str = ""
    """A Parquet file or another source of text for sentences and names, where no recipe has one."""
    benchmarks: tuple[Name, ...] = ()
    levels: tuple[Level, ...] = ()
    seeds: tuple[int, ...] = ()
    strings: int | None = None
    """How many to tune on, where the study does not vary it."""


@dataclass(frozen=True)
class VariantRuns:
    """A point of a study at a level, with a trial for each seed."""

    level: Level
    point: Variant
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class StudyPlan:
    """A study, ready to run."""

    study: Study
    bases: Mapping[Level, EncoderRef]
    seeds: tuple[int, ...]
    cases: tuple[VariantRuns, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, in their order."""
        return tuple(trial for case in self.cases for trial in case.trials)

    @property
    def samples(self) -> tuple[Recipe, ...]:
        """A recipe for each sample that the trials need, the larger ones that retrieval leaves out
        among them.
        """
        found: dict[str, Recipe] = {}
        for trial in self.trials:
            sizes = {trial.recipe.sample.size, trial.searched_size or trial.recipe.sample.size}
            for size in sorted(sizes):
                recipe = with_changes(trial.recipe, {"sample.size": size})
                drawn = recipe.model_dump(mode="json", include={"corpus", "sample", "level"})
                found.setdefault(digest_of_json(drawn), recipe)
        return tuple(found.values())

    @property
    def strings(self) -> int:
        """Strings to be tuned on, counted once for each epoch."""
        return sum(
            trial.recipe.sample.size * trial.recipe.tuning.epochs
            for trial in self.trials
            if trial.kind == "tuned"
        )

    def estimate(self) -> str:
        """How much there is to do, in a line."""
        return (
            f"{self.study.name}: {len(self.cases)} encoders, {len(self.trials)} trials over "
            f"{len(self.seeds)} seed(s), {self.strings:,} strings to tune on; what is made is "
            "reused"
        )


def plan_study(
    study: Study, wanted: StudyOptions, find: Callable[[BaseSection], EncoderRef], store: Store
) -> StudyPlan:
    """Lays out a study's trials.

    Args:
        study: its points.
        wanted: base, strings, benchmarks, levels and seeds.
        find: finds a base.
        store: where random strings are drawn into, if the study has any.

    Raises:
        StudyError: it cannot run on that.
        RecipeError: a recipe that was named, or settings that do not go with it, are at fault.
        BenchmarkError: a benchmark's definition or data is missing or damaged.
        CorpusError: a source of text is missing.
        BaseModelError: a base is missing or cannot be tuned.
        TokenizerError: its tokenizer cannot be used.
    """
    levels = wanted.levels or study.levels
    if unknown := set(levels) - set(study.levels):
        raise StudyError(
            f"{study.name} has no level {min(unknown)!r}: choose from {', '.join(study.levels)}"
        )
    recipes = {level: _recipe(study, level, wanted) for level in levels}
    _check_data(study, recipes)
    for recipe in recipes.values():
        check_sources(recipe)
    seeds = wanted.seeds or study.seeds
    bases = {level: find(recipe.base) for level, recipe in recipes.items()}
    cases = [
        _case(study, level, point, recipe, (bases[level], seeds, store))
        for level, recipe in recipes.items()
        for point in study.all_points
    ]
    plan = StudyPlan(study, bases, seeds, tuple(_on_equal_text(cases)))
    for trial in plan.trials:
        check_base_for(trial.recipe, Path(trial.base.folder), tuned=trial.kind == "tuned")
    return plan


def _recipe(study: Study, level: Level, wanted: StudyOptions) -> Recipe:
    chosen = [recipe for recipe in map(find_recipe, wanted.recipes) if recipe.level == level]
    if len(chosen) > 1:
        raise StudyError(
            f"{chosen[0].name} and {chosen[1].name} are both of level {level!r}: name one for each"
        )
    recipe = chosen[0] if chosen else _own_recipe(study, level, wanted.corpus)
    benchmarks = wanted.benchmarks or study.benchmarks.get(level) or STANDARD_BENCHMARKS.get(level)
    changes: dict[str, Any] = {f"tuning.{key}": value for key, value in study.tuning.items()}
    if benchmarks:
        changes["evaluation.benchmarks"] = list(benchmarks)
    if wanted.base:
        changes["base"] = {"path": wanted.base}
    if wanted.strings:
        changes["sample.size"] = wanted.strings
    return with_changes(recipe, changes, place=f"study {study.name} on {recipe.name}")


def _own_recipe(study: Study, level: Level, corpus: str) -> Recipe:
    """The paper's settings for the level, on strings that are at hand."""
    content: dict[str, Any] = {
        "language": "en",
        "domain": "study",
        "level": level,
        "base": {"path": SHIPPED_BASE},
        "evaluation": {"benchmarks": list(STANDARD_BENCHMARKS.get(level, (RETRIEVAL,)))},
        "registry": {"model": "mirror-study"},
    }
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
    return parse_recipe(content, name=f"study-{level}", place=f"study {study.name}")


def _check_data(study: Study, recipes: dict[Level, Recipe]) -> None:
    for level, recipe in recipes.items():
        names = recipe.evaluation.benchmarks
        remedy = (
            f"or choose others with --benchmarks; {RETRIEVAL} needs no data and no labels, and "
            "--level leaves out a level"
        )
        try:
            check_benchmarks(names)
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}\n{remedy}") from error
        searched = [name for name in names if read_definition(name).task == "retrieval"]
        if searched and find_source(recipe.corpus.source).is_word_list:
            raise StudyError(
                f"{searched[0]} searches passages, and the {level} level of {study.name} is tuned "
                "on a list of words, which has none: leave the level out with --level, or name a "
                "recipe of that level with --recipe"
            )


def _case(
    study: Study,
    level: Level,
    point: Variant,
    recipe: Recipe,
    means: tuple[EncoderRef, tuple[int, ...], Store],
) -> VariantRuns:
    base, seeds, store = means
    changes = dict(point.changes)
    if point.strings == "random":
        size = point.sample.get("size", recipe.sample.size)
        changes["corpus"] = random_corpus(size, recipe.sample.seed, store)
    chosen = with_changes(recipe, changes, place=f"study {study.name}, point {point.label!r}")
    # A raw encoder of the base's weights is the same for every seed.
    alike = point.kind == "raw" and point.weights == "base"
    trials = tuple(
        Trial(
            label=f"{study.name}, {level}, {point.label}",
            recipe=with_changes(chosen, {"tuning.seed": seed}),
            base=base,
            kind=point.kind,
            weights=point.weights,
            pooling=point.pooling,
        )
        for seed in (seeds[:1] if alike else seeds)
    )
    return VariantRuns(level, point, trials)


def _on_equal_text(cases: list[VariantRuns]) -> Iterator[VariantRuns]:
    """The cases, with what is measured on a run's own text taken from one sample for all."""
    for case in cases:
        like = [other for other in cases if other.level == case.level and _reads_text(other)]
        sizes = [trial.recipe.sample.size for other in like for trial in other.trials]
        if not _reads_text(case):
            yield case
            continue
        trials = (replace(trial, searched_size=max(sizes)) for trial in case.trials)
        yield replace(case, trials=tuple(trials))


def _reads_text(case: VariantRuns) -> bool:
    """Whether anything is measured on the case's own text."""
    names = case.trials[0].recipe.evaluation.benchmarks
    return case.point.strings == "own" and any(read_definition(name).NEEDS_RUN for name in names)
