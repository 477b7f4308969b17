"""The chain of stages without an orchestrator, for `mirror verify` and for studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mirror.corpus.ingest import ingest_corpus
from mirror.corpus.labelled_pairs import gather_pairs
from mirror.corpus.profile_stage import profile_corpus
from mirror.corpus.vocabulary_fit import check_vocabulary
from mirror.encoders.base_model import find_base
from mirror.encoders.base_settings import settle_recipe
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation.baseline import RANDOM_CONTROL, measure_baseline
from mirror.evaluation.document_counts import check_documents_for_retrieval
from mirror.evaluation.stage import evaluate_encoder
from mirror.evaluation.storage_loss import stored_encoder
from mirror.progress import OnProgress, no_progress
from mirror.recipe import Recipe, parse_recipe
from mirror.release.lineage import lineage_of
from mirror.release.run_results import RunResults
from mirror.run_data import RunData
from mirror.sampling.documents import settle_views
from mirror.sampling.sample import sample_strings
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder


def prepare_data(recipe: Recipe, store: Store, on_progress: OnProgress = no_progress) -> RunData:
    """Make or reuse a recipe's corpus, sample and labelled pairs.

    Raises:
        MirrorError: a source is missing or unreadable, or too little text is left.
    """
    corpus = ingest_corpus(recipe, store, on_progress)
    sample = sample_strings(recipe, corpus, store, on_progress)
    pairs = gather_pairs(recipe, store, on_progress) if recipe.pairs else None
    return RunData(corpus, sample, pairs)


def run_chain(
    recipe: Recipe, base: EncoderRef, store: Store, on_progress: OnProgress = no_progress
) -> RunResults:
    """Make or reuse every stage from the corpus to the tuned encoder's scores.

    Raises:
        MirrorError: as the stages raise it.
    """
    corpus = ingest_corpus(recipe, store, on_progress)
    check_documents_for_retrieval(recipe, corpus)
    profile = profile_corpus(corpus, base, store, on_progress)
    check_vocabulary(recipe, profile.counts, base.origin)
    recipe = settle_recipe(settle_views(recipe, corpus), Path(base.folder))
    data = prepare_data(recipe, store, on_progress)

    def evaluate(encoder: EncoderRef) -> StageRecord:
        return evaluate_encoder(recipe, encoder, data, store, on_progress)

    def tune(model: EncoderRef) -> StageRecord:
        return tune_encoder(recipe, data.sample, model, store, on_progress, pairs=data.pairs)

    # The base is scored before tuning, which takes longest: faulty benchmarks fail early.
    baseline = measure_baseline(base, recipe.tuning, evaluate)
    if recipe.evaluation.random_control:
        control = tune(random_base(base, recipe.tuning.seed, store))
        baseline = baseline.with_random_control(evaluate(tuned_encoder(control, RANDOM_CONTROL)))
    tuned = tune(base)
    return RunResults(
        recipe=recipe,
        base=base,
        corpus=data.corpus,
        sample=data.sample,
        tuned=tuned,
        before=baseline.record,
        after=evaluate(stored_encoder(tuned_encoder(tuned), recipe)),
        pairs=data.pairs,
        profile=profile,
        readings=baseline.readings,
    )


def repeat_run(
    recorded: Mapping[str, Any],
    store: Store,
    from_registry: Callable[[str], Path],
    on_progress: OnProgress = no_progress,
) -> dict[str, Any]:
    """Make a recorded run again in another workspace; return the lineage of the new run.

    Args:
        recorded: the lineage of the recorded run.
        store: an empty workspace.
        from_registry: returns the folder of a base that the recipe takes from a registry.
        on_progress: receives the progress of each stage.

    Raises:
        MirrorError: as the stages raise it, for example because a source or the base is missing.
    """
    recipe = parse_recipe(recorded["recipe"], name="recorded", source="the recorded recipe")
    base = find_base(recipe.base, from_registry)
    return lineage_of(run_chain(recipe, base, store, on_progress))
