"""The main job: raw text in, registered encoder out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from prefect import flow

from mirror.encoders.base_model import choose_base
from mirror.encoders.encoder_ref import tuned_encoder, untuned_encoder
from mirror.recipe import Recipe, find_recipe
from mirror.release.gate import Verdict
from mirror.release.run_record import RunRecord, StartTime
from mirror.release.run_results import RunResults
from mirror.run_data import RunData
from mirror.store import StageRecord
from tasks import (
    base,
    change_detection,
    compatibility,
    corpus,
    evaluation,
    gate,
    labelled_pairs,
    packaging,
    preflight,
    probe,
    registry,
    run_outcome,
    run_summary,
    sampling,
    tuning,
)
from tasks.local_api import temporary_api
from tasks.notifications import notify_failure
from tasks.registry.candidate import Champion, Registration, RegistrationCandidate
from tasks.stage_task import unwrap_state


@flow(flow_run_name="{recipe}", on_failure=[notify_failure], on_crashed=[notify_failure])
def run_recipe(recipe: str, base_path: str = "", if_changed: bool = False) -> RunRecord:
    """Runs a recipe by its name; what is there and whole already is reused.

    Args:
        recipe: the recipe's name.
        base_path: a model's folder, to start from in place of the recipe's own base.
        if_changed: stop where recipe, base and text are as good as the champion's.

    Raises:
        MirrorError: something is wrong; nothing half-made is left.
    """
    began = StartTime.now()
    plan = choose_base(find_recipe(recipe), base_path)
    workspace = preflight.check_ready(plan)

    gathered = gather(plan, workspace)
    if if_changed and not (change := change_detection.find_change(plan, gathered)).go_on:
        return run_summary.record_unchanged(plan, gathered, change, began, workspace)
    snapshot, pairs, model = gathered.corpus, gathered.pairs, gathered.base
    profile, strings = gathered.profile, sampling.sample_strings(plan, snapshot, workspace)
    evaluate = partial(evaluation.evaluate_encoder, plan, workspace=workspace)
    measure = partial(evaluate, data=RunData(snapshot, strings, pairs))
    # Before tuning, which takes longer: what is wrong with an evaluation shows here.
    before = measure(untuned_encoder(model, plan.tuning))

    tuned = tuning.tune_encoder(plan, strings, model, workspace, pairs)
    encoder = tuned_encoder(tuned)
    after = measure(encoder)
    rival = registry.find_champion(plan, encoder.digest, workspace)
    of_rival = measure(rival) if rival else None
    answer = probe.probe_encoder(encoder, strings, workspace)
    verdict = gate.decide(plan, before, after, of_rival, answer)
    made = RunResults(plan, model, snapshot, strings, tuned, before, after, pairs, profile)
    results = beside_champion(made, gathered, rival, verdict, workspace)
    package = packaging.package_encoder(results, workspace)
    page = run_summary.write_report(results, verdict, workspace)
    folder, file = packaging.packaged_encoder(package), run_summary.report_file(page)
    candidate = RegistrationCandidate(results, rival, of_rival, verdict, folder, file)
    registration = registry.register_encoder(candidate, workspace)
    return write_down(candidate, (answer, package, page), registration, began, workspace)


def gather(plan: Recipe, workspace: Path) -> change_detection.RunInputs:
    """Text, labelled pairs if there are any, and the base to tune."""
    snapshot = corpus.ingest_corpus(plan, workspace)
    pairs = labelled_pairs.gather_pairs(plan, workspace) if plan.pairs else None
    model = base.find_base(plan, workspace)
    profile = change_detection.profile_corpus(snapshot, model, workspace)
    return change_detection.RunInputs(model, snapshot, profile, pairs)


def beside_champion(
    made: RunResults,
    gathered: change_detection.RunInputs,
    rival: Champion | None,
    verdict: Verdict,
    workspace: Path,
) -> RunResults:
    """With what has changed since the champion: its text, and whether its index still serves."""
    moved = change_detection.find_drift(made.recipe, gathered, rival)
    new = tuned_encoder(made.tuned)
    kin = compatibility.compare_with_champion(verdict, rival, new, made.sample, workspace)
    return replace(made, drift=moved, compatibility=kin)


def write_down(
    candidate: RegistrationCandidate,
    ends: tuple[StageRecord, ...],
    registration: Registration,
    began: StartTime,
    workspace: Path,
) -> RunRecord:
    """The run's record, and its outcome on the run's own page, not on a task's."""
    record = run_summary.record_run(candidate, ends, registration, began, workspace)
    run_outcome.show_outcome(record, registration)
    return record


def start_run(recipe: str, base_path: str = "", if_changed: bool = False) -> RunRecord:
    """As `run_recipe`, for a person at a terminal: a fault shows before Prefect is waited for."""
    plan = choose_base(find_recipe(recipe), base_path)
    with temporary_api() as wait_for_api:
        preflight.find_workspace(plan)
        wait_for_api()
        return unwrap_state(run_recipe(recipe, base_path, if_changed))
