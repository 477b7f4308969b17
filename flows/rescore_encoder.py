"""Benchmarks again, without tuning."""

from __future__ import annotations

from prefect import flow

from mirror.recipe import find_recipe
from mirror.store import StageRecord
from tasks import base, corpus, evaluation, preflight, registry, sampling
from tasks.api_server import temporary_api


@flow(flow_run_name="{recipe}")
def rescore_encoder(recipe: str, encoder: str = "") -> tuple[StageRecord, StageRecord]:
    """Measures a recipe's base and an encoder on the recipe's benchmarks.

    Args:
        recipe: the recipe's name.
        encoder: a folder, or a registered model such as `models:/NAME/3`; nothing means the
            champion of the recipe's model.

    Returns:
        The base's scores and the encoder's.
    """
    plan = find_recipe(recipe)
    workspace = preflight.check_ready(plan)
    folder = registry.find_encoder(plan, encoder, workspace)

    snapshot = corpus.ingest_corpus(plan, workspace)
    strings = sampling.sample_strings(plan, snapshot, workspace)
    model = base.find_base(plan, workspace)
    places = (evaluation.base_as_encoder(plan, model), evaluation.encoder_in(folder))
    before, after = (
        evaluation.evaluate_encoder(plan, place, snapshot, strings, workspace) for place in places
    )
    return before, after


def start_rescoring(recipe: str, encoder: str = "") -> tuple[StageRecord, StageRecord]:
    """As `rescore_encoder`, for a person at a terminal: a fault shows before Prefect is up."""
    plan = find_recipe(recipe)
    with temporary_api() as wait_for_api:
        preflight.find_workspace(plan)
        wait_for_api()
        return rescore_encoder(recipe, encoder)
