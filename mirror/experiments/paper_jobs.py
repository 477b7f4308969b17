"""From cells to trials: each encoder once on each base, whatever the number of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mirror.corpus.sources import check_sources
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import MirrorError, StoreError
from mirror.experiments.bases import BasePlaces, Found, paper_base, stand_in_base
from mirror.experiments.paper_formatting import without_folders
from mirror.experiments.paper_plan import Cell, Encoder, Place, Plan
from mirror.experiments.trial import Trial, with_changes
from mirror.recipe import Recipe
from mirror.sampling.random_strings import random_corpus
from mirror.store import Store

Key = tuple[str, str]
"""An encoder's identity and its base's digest."""


@dataclass(frozen=True)
class Job:
    """One encoder on one base."""

    encoder: Encoder
    base: EncoderRef
    benchmarks: tuple[str, ...]
    recipe: Recipe
    """The encoder's, with its strings in place."""

    @property
    def key(self) -> Key:
        """What tells jobs apart."""
        return self.encoder.identity, self.base.digest

    def trials(self, seeds: Sequence[int]) -> Iterator[Trial]:
        """One for each seed; one alone for a raw base, in which no seed has a part."""
        for seed in seeds if self.encoder.kind == "tuned" else (self.recipe.tuning.seed,):
            # Nothing by itself, where only pairs are asked for; but a trial measures something.
            names = self.benchmarks or self.recipe.evaluation.benchmarks
            changes = {"evaluation.benchmarks": list(names), "tuning.seed": seed}
            yield Trial(
                label=self.recipe.name,
                recipe=with_changes(self.recipe, changes),
                base=self.base,
                kind=self.encoder.kind,
                pooling=self.encoder.pooling,
            )


@dataclass(frozen=True)
class Work:
    """What is to be run for some cells on one kind of base, and why the others stay empty."""

    jobs: Mapping[Key, Job]
    keys: Mapping[Place, tuple[Key, ...]]
    """By cell, its job, or that of each language."""
    reasons: Mapping[Place, str]
    """By cell that has none."""


def find_work(
    cells: Sequence[Cell], plan: Plan, places: BasePlaces, store: Store, *, stand_in: bool
) -> Work:
    """The jobs of some cells, on the paper's bases or on those that stand in for them.

    Raises:
        StoreError: the workspace cannot be written.
    """
    look = _Looking(places, store, stand_in)
    jobs: dict[Key, Job] = {}
    keys: dict[Place, tuple[Key, ...]] = {}
    reasons: dict[Place, str] = {}
    for cell in cells:
        if cell.place in plan.reasons:
            reasons[cell.place] = plan.reasons[cell.place]
            continue
        planned, found = plan.cells[cell.place], []
        for number, encoder in enumerate(planned.encoders):
            languages = (encoder.recipe.language,) if number else planned.languages
            base, recipe = look.at(encoder, languages)
            if base.base is None:
                reasons[cell.place] = base.reason
                break
            found.append(Job(encoder, base.base, plan.benchmarks[encoder.identity], recipe))
        else:
            keys[cell.place] = tuple(job.key for job in found)
            jobs |= {job.key: job for job in found if job.key not in jobs}
    return Work(jobs, keys, reasons)


def _on_random_strings(recipe: Recipe, store: Store) -> Recipe:
    """The recipe with as many random strings as its sample holds, in place of its own corpus."""
    corpus = random_corpus(recipe.sample.size, recipe.sample.seed, store)
    return with_changes(recipe, {"corpus": corpus})


class _Looking:
    """Looks for bases and strings, for each encoder once."""

    def __init__(self, places: BasePlaces, store: Store, stand_in: bool) -> None:
        self._places = places
        self._store = store
        self._stand_in = stand_in
        self._known: dict[str, tuple[Found, Recipe]] = {}

    def at(self, encoder: Encoder, languages: Sequence[str]) -> tuple[Found, Recipe]:
        """The base and the recipe with its strings in place, or why one of them is missing."""
        name = f"{encoder.recipe.name} {encoder.identity} {languages}"
        if name not in self._known:
            self._known[name] = self._look(encoder, languages)
        return self._known[name]

    def _look(self, encoder: Encoder, languages: Sequence[str]) -> tuple[Found, Recipe]:
        recipe = encoder.recipe
        if self._stand_in:
            found = stand_in_base(recipe, self._places, languages)
        else:
            found = paper_base(recipe, self._places)
        if found.base is None:
            return found, recipe
        try:
            if encoder.strings == "random":
                recipe = _on_random_strings(recipe, self._store)
            check_sources(recipe)
        except StoreError:
            raise
        except MirrorError as fault:
            return Found(None, without_folders(str(fault))), recipe
        return found, recipe
