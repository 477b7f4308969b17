"""Trials: one encoder, tuned or raw, scored on benchmarks, for comparisons of settings.

All that a trial does is a stage of the store, so what was made once, here or by `mirror run`, is
reused, and a trial that was killed goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mirror.corpus_config import CorpusSection
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation.stage import evaluate_encoder
from mirror.pipeline import prepare_data
from mirror.progress import OnProgress, no_progress
from mirror.recipe import Recipe, parse_recipe
from mirror.release.run_results import read_json
from mirror.run_data import RunData
from mirror.sampling.sample import sample_strings
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from mirror.tuning_config import Pooling, fill_tuning

TUNING = "tuning."

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Trial:
    """One encoder to be made and scored."""

    label: str
    """For people and for telling results apart; no part of any key."""
    recipe: Recipe
    """Whole: corpus, sample, tuning with its seed, `evaluation.benchmarks`."""
    base: EncoderRef
    kind: Literal["tuned", "raw"] = "tuned"
    """raw: the base as it is, pooled and cut as below, with the recipe's prompt."""
    weights: Literal["base", "random"] = "base"
    """random: a model of the base's shape with weights drawn from `recipe.tuning.seed`."""
    pooling: Pooling | None = None
    """raw: nothing means as the recipe tunes."""
    max_tokens: int | None = None
    """raw: likewise."""
    searched_size: int | None = None
    """The sample size whose documents label-free retrieval leaves out, where that is more than the
    trial's own: trials of several sizes are compared on the same passages."""

    @property
    def seed(self) -> int:
        """Of batches, masks and dropout, and of random weights."""
        return self.recipe.tuning.seed


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to."""

    label: str
    seed: int
    scores: Mapping[str, float]
    """The score of each benchmark."""
    details: Mapping[str, Any]
    """The evaluation's `scores.json`: of each benchmark metric, score, n, subsets, measures."""
    evaluation: StageRecord
    tuned: StageRecord | None = None
    """Nothing for a raw trial."""
    sample: StageRecord | None = None
    reused: bool = False
    """Whether every stage was found made."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """What tuning counted: `first_loss`, `final_loss`, `steps`, `masked_share` and so on."""

    @property
    def tuning_seconds(self) -> float:
        """How long tuning took when it was made."""
        return self.tuned.seconds if self.tuned else 0.0


def run_trial(trial: Trial, store: Store, on_progress: OnProgress = no_progress) -> TrialResult:
    """Makes and scores the trial's encoder, or finds it made and scored.

    Within a process trials wait for each other, for torch's random numbers and its number of
    threads are the process's; and to tune they wait for a place on the device, as any run does.

    Raises:
        MirrorError: as the stages do: corpus, sample, base, tuning, benchmarks.
    """
    with _ONE_AT_A_TIME:
        return _run(trial, store, on_progress)


def _run(trial: Trial, store: Store, on_progress: OnProgress) -> TrialResult:
    recipe = trial.recipe
    data = prepare_data(recipe, store, on_progress)
    base = trial.base
    if trial.weights == "random":
        base = random_base(base, trial.seed, store)
    made = [data.corpus, data.sample, *([data.pairs] if data.pairs else [])]
    tuned = None
    if trial.kind == "tuned":
        tuned = tune_encoder(recipe, data.sample, base, store, on_progress, pairs=data.pairs)
        made.append(tuned)
    place = _encoder_place(trial, base, tuned)
    searched = replace(data, sample=_searched_sample(trial, data, store))
    evaluation = evaluate_encoder(recipe, place, searched, store, on_progress)
    made.append(evaluation)
    details = read_json(evaluation, "scores.json")
    return TrialResult(
        label=trial.label,
        seed=trial.seed,
        scores={name: float(details[name]["score"]) for name in recipe.evaluation.benchmarks},
        details=details,
        evaluation=evaluation,
        tuned=tuned,
        sample=data.sample,
        reused=all(record.reused for record in made),
        counts=tuned.counts if tuned else {},
    )


def with_settings(recipe: Recipe, **tuning: Any) -> Recipe:
    """The recipe with other settings of tuning, checked anew.

    A changed `mode` brings all defaults of that mode and of the recipe's level with it, under the
    other changes.

    Raises:
        RecipeError: there is no such setting, or it does not go with the others.
    """
    return with_changes(recipe, {f"tuning.{name}": value for name, value in tuning.items()})


def with_changes(recipe: Recipe, changes: Mapping[str, Any], place: str = "") -> Recipe:
    """The recipe with other values, named as `sample.size` or `language`, checked anew.

    Args:
        recipe: what is changed; it stays as it is.
        changes: values by dotted key.
        place: where the changes stand, for errors.

    Raises:
        RecipeError: there is no such key, or it does not go with the others.
    """
    content = recipe.model_dump(mode="json")
    if "tuning.mode" in changes:
        ours = {key: value for key, value in changes.items() if key.startswith(TUNING)}
        given = {key.removeprefix(TUNING): value for key, value in ours.items()}
        filled = fill_tuning(recipe.level, given)
        changes = {**changes, **{TUNING + name: value for name, value in filled.items()}}
    if changes.get("corpus.source", recipe.corpus.source) != recipe.corpus.source:
        common = content["corpus"].keys() & CorpusSection.model_fields.keys()
        content["corpus"] = {key: content["corpus"][key] for key in common}
    for key, value in changes.items():
        *sections, name = key.split(".")
        part = content
        for section in sections:
            if not isinstance(part.get(section), dict):
                part[section] = {}
            part = part[section]
        part[name] = value
    shown = ", ".join(f"{key} = {value!r}" for key, value in changes.items())
    return parse_recipe(content, name=recipe.name, place=f"{place or recipe.name} with {shown}")


def _encoder_place(trial: Trial, base: EncoderRef, tuned: StageRecord | None) -> EncoderRef:
    if tuned is not None:
        return tuned_encoder(tuned, trial.label)
    tuning = trial.recipe.tuning
    pooling = trial.pooling or tuning.pooling
    limit = trial.max_tokens or tuning.encoder_tokens
    return replace(base, label=trial.label, pooling=pooling, max_tokens=limit, prompt=tuning.prompt)


def _searched_sample(trial: Trial, data: RunData, store: Store) -> StageRecord:
    size = trial.searched_size
    if size is None or size <= trial.recipe.sample.size:
        return data.sample
    return sample_strings(with_changes(trial.recipe, {"sample.size": size}), data.corpus, store)
