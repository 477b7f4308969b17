"""Trials: one encoder, tuned or raw, scored on benchmarks, to compare settings.

Every step of a trial is a stage of the store: what a trial or `mirror run` made before is reused,
and a killed trial resumes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mirror.corpus_config import CorpusSection
from mirror.encoders.base_settings import settle_recipe
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import benchmark_inputs, scoring_libraries
from mirror.evaluation.stage import evaluate_encoder
from mirror.pipeline import prepare_data
from mirror.progress import OnProgress, no_progress
from mirror.recipe import Recipe, parse_recipe
from mirror.sampling.random_strings import random_corpus
from mirror.stage_files import read_json
from mirror.store import Stage, StageRecord, Store
from mirror.tuning.worker import tune_encoder
from mirror.tuning_config import Pooling, TuningSection
from mirror.tuning_defaults import DOCUMENT_DEFAULTS, fill_recipe_tuning, fill_tuning

TUNING = "tuning."
TrialKey = tuple[str, int]
"""Label and seed of a trial."""

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Trial:
    """One encoder to make and score."""

    label: str
    """For people, and with the seed the trial's key in a plan; not part of any stage's key."""
    recipe: Recipe
    """Complete: corpus, sample, tuning with its seed, `evaluation.benchmarks`."""
    base: EncoderRef
    kind: Literal["tuned", "raw"] = "tuned"
    """raw: the base without tuning, with the recipe's prompt and the limits below."""
    weights: Literal["base", "random"] = "base"
    """random: a model of the base's shape, initialised with `recipe.tuning.seed`."""
    pooling: Pooling | None = None
    """raw: None means the recipe's."""
    max_tokens: int | None = None
    """raw: None means the recipe's."""

    @property
    def seed(self) -> int:
        """Seed of batches, masks, dropout and random weights."""
        return self.recipe.tuning.seed

    @property
    def key(self) -> TrialKey:
        """What distinguishes a trial from all others of its plan."""
        return self.label, self.seed


@dataclass(frozen=True)
class TrialResult:
    """Scores of a trial, and the stages that they come from."""

    details: Mapping[str, Any]
    """Content of the evaluation's `scores.json` by benchmark: metric, score, n, subsets, ..."""
    evaluation: StageRecord
    encoder: EncoderRef
    tuned: StageRecord | None = None
    """None for a raw trial."""
    reused: bool = False
    """Whether every stage was reused."""

    @property
    def scores(self) -> dict[str, float]:
        """Score of each benchmark."""
        return {name: float(content["score"]) for name, content in self.details.items()}

    @property
    def tuning_seconds(self) -> float:
        """Duration of the tuning when it ran."""
        return self.tuned.seconds if self.tuned else 0.0

    def metric(self, benchmark: str, name: str = "score") -> float:
        """Return a benchmark's score, or another of its metrics."""
        content = self.details[benchmark]
        return float(content["score"] if name == "score" else content["extra_metrics"][name])


def seed_trials(
    label: str, recipe: Recipe, base: EncoderRef, seeds: Sequence[int], **options: Any
) -> Iterator[Trial]:
    """Return a trial for each seed, or a single one if no seed affects the encoder.

    Args:
        label: of the trials.
        recipe: the trials' recipe, but for its seed.
        base: the model to tune, or to score as it is.
        seeds: of tuning and of random weights.
        options: other fields of `Trial`.
    """
    recipe = settle_recipe(recipe, Path(base.folder))
    deterministic = options.get("kind") == "raw" and options.get("weights", "base") == "base"
    for seed in seeds[:1] if deterministic else seeds:
        yield Trial(label, with_changes(recipe, {"tuning.seed": seed}), base, **options)


def run_trial(trial: Trial, store: Store, on_progress: OnProgress = no_progress) -> TrialResult:
    """Make and score the trial's encoder, or reuse what was made.

    Trials of one process run one after another, because torch's random state and thread count
    belong to the process. Tuning waits for the device's lock, as in any run.

    Raises:
        MirrorError: as the stages do: corpus, sample, base, tuning, benchmarks.
    """
    with _ONE_AT_A_TIME:
        return _run(trial, store, on_progress)


def _run(trial: Trial, store: Store, on_progress: OnProgress) -> TrialResult:
    trial = replace(trial, recipe=settle_recipe(trial.recipe, Path(trial.base.folder)))
    recipe = trial.recipe
    data = prepare_data(recipe, store, on_progress)
    base = trial.base
    if trial.weights == "random":
        base = random_base(base, trial.seed, store)
    tuned = None
    if trial.kind == "tuned":
        tuned = tune_encoder(recipe, data.sample, base, store, on_progress, pairs=data.pairs)
    encoder = _encoder_ref(trial, base, tuned)
    evaluation = evaluate_encoder(recipe, encoder, data, store, on_progress)
    details = read_json(evaluation.path / "scores.json")
    stages = (data.corpus, data.sample, data.pairs, tuned, evaluation)
    return TrialResult(
        details={name: details[name] for name in recipe.evaluation.scored},
        evaluation=evaluation,
        encoder=encoder,
        tuned=tuned,
        reused=all(stage.reused for stage in stages if stage),
    )


def score_pair(first: EncoderRef, second: EncoderRef, benchmark: str, store: Store) -> StageRecord:
    """Score two encoders, one for each language, on a bilingual lexicon (paper, table 6).

    Returns:
        The stage; `counts["score"]` is the score.

    Raises:
        BenchmarkError: the benchmark's data is missing or damaged, or vectors are not numbers.
        BaseModelError: an encoder cannot be loaded.
        StoreError: the workspace cannot be written.
    """
    definition = read_definition(benchmark)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        import torch

        from mirror.encoders.encoder import Encoder
        from mirror.evaluation.evaluate import score_encoder
        from mirror.hardware import thread_count

        torch.set_num_threads(thread_count())
        source, target = (
            Encoder.load(Path(ref.folder), ref.pooling, ref.max_tokens, prompt=ref.prompt)
            for ref in (first, second)
        )
        result = score_encoder(source, definition, second=target)
        return {"score": result.score, "items": result.n}

    settings = [[ref.pooling, ref.max_tokens, ref.prompt] for ref in (first, second)]
    data = benchmark_inputs([benchmark])
    inputs = {"first": first.digest, "second": second.digest, **data}
    stage = Stage(
        "pair-evaluation",
        "evaluation.evaluate",
        inputs,
        {"read": settings},
        scoring_libraries(data),
    )
    return store.make(stage, write)


def with_changes(recipe: Recipe, changes: Mapping[str, Any], source: str = "") -> Recipe:
    """Return the recipe with other values, validated again.

    A changed `tuning.mode` brings the defaults of that mode and of the recipe's level, and
    changed `tuning.views` bring those of views where the recipe has the defaults; the other changes
    override them.

    Args:
        recipe: the original.
        changes: values by dotted key, such as `sample.size` or `language`.
        source: of the changes, for errors.

    Raises:
        RecipeError: there is no such key, or its value does not go with the others.
    """
    content = recipe.model_dump(mode="json")
    if "tuning.views" in changes:
        changes = {**_defaults_of_views(recipe, changes), **changes}
    if "tuning.mode" in changes:
        tuning = {
            key.removeprefix(TUNING): value
            for key, value in changes.items()
            if key.startswith(TUNING)
        }
        filled = fill_tuning(recipe.level, tuning)
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
    return parse_recipe(content, name=recipe.name, source=f"{source or recipe.name} with {shown}")


def _defaults_of_views(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that change with views, by dotted key.

    They are those that have the default of the recipe's views.
    """
    mode = changes.get("tuning.mode", recipe.tuning.mode)
    before, after = (
        fill_recipe_tuning(recipe.level, {"mode": mode, "views": views})
        for mode, views in (
            (recipe.tuning.mode, recipe.tuning.views),
            (mode, changes["tuning.views"]),
        )
    )
    fields = TuningSection.model_fields
    return {
        TUNING + key: after.get(key, fields[key].default)
        for key in DOCUMENT_DEFAULTS
        if getattr(recipe.tuning, key) == before.get(key, fields[key].default)
    }


def on_random_strings(recipe: Recipe, store: Store) -> Recipe:
    """Return the recipe on as many random strings as its sample holds, instead of its corpus."""
    corpus = random_corpus(recipe.sample.size, recipe.sample.seed, store)
    return with_changes(recipe, {"corpus": corpus, "tuning.views": "identity"})


def _encoder_ref(trial: Trial, base: EncoderRef, tuned: StageRecord | None) -> EncoderRef:
    if tuned is not None:
        return tuned_encoder(tuned, trial.label)
    tuning = trial.recipe.tuning
    pooling = trial.pooling or tuning.pooling
    limit = trial.max_tokens or tuning.encoder_tokens
    return replace(base, label=trial.label, pooling=pooling, max_tokens=limit, prompt=tuning.prompt)
