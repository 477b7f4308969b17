"""From raw text to a registered encoder: corpus, sample, tuning, evaluation, gate, registry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from prefect import flow
from prefect.settings import PREFECT_API_URL

from mirror.corpus.vocabulary_fit import check_vocabulary
from mirror.encoders.encoder_ref import tuned_encoder
from mirror.errors import ServiceError
from mirror.evaluation.baseline import Baseline
from mirror.evaluation.document_counts import check_documents_for_retrieval
from mirror.release.run_record import RunRecord, StartTime, record_paths
from mirror.release.run_results import RunResults
from mirror.reuse_only import NotMadeError, reuse_only
from mirror.run_context import RunContext
from mirror.run_data import RunData
from mirror.store import StageRecord
from tasks import change_detection, gate, preflight, registry, run_summary, stages
from tasks.change_detection import RunInputs
from tasks.local_api import temporary_api
from tasks.notifications import notification_blocks, notify_failure
from tasks.registry.candidate import RegistrationCandidate
from tasks.stage_task import unwrap_state


@flow(flow_run_name="{recipe}", on_failure=[notify_failure], on_crashed=[notify_failure])
def run_recipe(recipe: str, base: str = "", if_changed: bool = False) -> RunRecord:
    """Turn raw text into a registered encoder; finished stages are reused.

    Args:
        recipe: the recipe's name, or the path of a `.toml` file.
        base: the folder of a model to start from, in place of the recipe's own base.
        if_changed: stop if recipe, base and text are close to the champion's.

    Raises:
        MirrorError: something is wrong; no half-made stage is left.
    """
    started = StartTime.now()
    run = preflight.load_run(recipe, base)
    preflight.check_ready(run)

    inputs = collect_inputs(run)
    run = run.settle(inputs.base, inputs.corpus)
    if if_changed and not (change := change_detection.detect_change(run, inputs)).has_changed:
        return run_summary.record_unchanged(run, inputs, change, started)

    data = RunData(inputs.corpus, stages.draw_sample(run, inputs.corpus), inputs.pairs)
    # Scored before tuning, which takes longest: faulty benchmarks fail early.
    baseline = stages.evaluate_base(run, inputs.base, data)
    tuned = stages.tune(run, inputs.base, data)
    encoder = tuned_encoder(tuned)
    scores, larger = stages.evaluate_tuned(run, encoder, data)
    champion = registry.fetch_champion(run, encoder)
    rival = stages.evaluate(run, champion, data) if champion else None
    smoke = stages.smoke_test(run, encoder, data)

    verdict = gate.decide(run, data.sample, baseline, scores, champion, rival, smoke, larger)
    results = collect_results(run, inputs, data, tuned, baseline, scores)
    drift = change_detection.find_drift(run, inputs, champion)
    compatibility = stages.compare_with_champion(run, verdict, champion, encoder, data)
    results = replace(results, drift=drift, compatibility=compatibility)
    package = stages.package(run, results)
    page = stages.write_report(run, results, verdict)
    candidate = RegistrationCandidate(results, champion, rival, verdict, package, page)
    registration = registry.register(candidate, run.workspace)
    return run_summary.record(run, candidate, smoke, registration, started)


def collect_inputs(run: RunContext) -> RunInputs:
    """Return text, labelled pairs if there are any, and the base to tune."""
    corpus = stages.ingest_corpus(run)
    check_documents_for_retrieval(run.recipe, corpus)
    pairs = stages.gather_pairs(run) if run.recipe.pairs else None
    base = stages.resolve_base(run)
    profile = stages.profile_corpus(run, corpus, base)
    check_vocabulary(run.recipe, profile.counts, base.origin)
    return RunInputs(base, corpus, profile, pairs)


def collect_results(
    run: RunContext,
    inputs: RunInputs,
    data: RunData,
    tuned: StageRecord,
    baseline: Baseline,
    scores: StageRecord,
) -> RunResults:
    """Return the stages of a run, up to the evaluation of the tuned encoder."""
    return RunResults(
        recipe=run.recipe,
        base=inputs.base,
        corpus=data.corpus,
        sample=data.sample,
        tuned=tuned,
        before=baseline.record,
        after=scores,
        pairs=data.pairs,
        profile=inputs.profile,
        readings=baseline.readings,
    )


def start_run(run: RunContext, if_changed: bool = False) -> RunRecord:
    """As `run_recipe`, from a terminal: the checks run while Prefect starts.

    If no server is configured and every result can be reused, none is started.

    Args:
        run: as `mirror.run_context.load_run` gives it.
        if_changed: as for `run_recipe`.
    """
    if (reused := _reuse_results(run, if_changed)) is not None:
        return reused
    with temporary_api() as wait_for_api:
        preflight.check_run(run)
        wait_for_api()
        with preflight.hand_over(run):
            return unwrap_state(run_recipe(*run.request, if_changed=if_changed))


def _reuse_results(run: RunContext, if_changed: bool) -> RunRecord | None:
    """Return the record of a run that makes no result, without Prefect's engine; else None.

    Prefect's servers, the configured ones and those that notifications need, see every run.
    """
    if PREFECT_API_URL.value() or not record_paths(run.workspace, run.recipe.name):
        return None
    preflight.check_run(run)
    if notification_blocks():
        return None
    with suppress(NotMadeError, ServiceError), reuse_only(), preflight.hand_over(run):
        return run_recipe.fn(*run.request, if_changed=if_changed)
    return None
