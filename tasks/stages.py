"""The stages of a run as Prefect tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from mirror.corpus import ingest, labelled_pairs, profile_stage
from mirror.corpus.reasons import NEAR_COPIES, TEMPLATES, WITHOUT_LETTERS
from mirror.encoders import base_model
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation import stage as evaluation_stage
from mirror.evaluation.baseline import RANDOM_CONTROL, Baseline, measure_baseline
from mirror.evaluation.storage_loss import storage_steps, stored_encoder
from mirror.pretraining import stage as pretraining_stage
from mirror.pretraining.config import PretrainingSettings
from mirror.progress import ProgressEvent
from mirror.release import index_compatibility_stage, report
from mirror.release import package as packaging
from mirror.release import smoke_test as smoke_tests
from mirror.release.gate import Verdict
from mirror.release.index_compatibility import MIN_TEXTS, PAGE, read_compatibility, summary
from mirror.release.notices import Notice, corpus_notices, profile_notices
from mirror.release.run_results import RunResults
from mirror.run_context import RunContext
from mirror.run_data import RunData
from mirror.sampling import sample as sampling
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from tasks.artifacts import rounded, show_markdown, show_table
from tasks.progress import Reporter
from tasks.registry import fetch_model
from tasks.retries import RETRIES
from tasks.stage_task import run_task, stage_task

log = logging.getLogger(__name__)


@stage_task("corpus", "Corpus of {run.recipe.name}: rows by outcome", **RETRIES)
def ingest_corpus(report: Reporter, run: RunContext) -> StageRecord:
    """Make the corpus; see `mirror.corpus.ingest.ingest_corpus`."""
    record = ingest.ingest_corpus(run.recipe, run.store, report)
    _warn_of(NEAR_COPIES, corpus_notices(record.counts))
    return record


@stage_task("pairs", "Labelled pairs of {run.recipe.name}")
def gather_pairs(report: Reporter, run: RunContext) -> StageRecord:
    """Collect the labelled pairs; see `mirror.corpus.labelled_pairs.gather_pairs`."""
    return labelled_pairs.gather_pairs(run.recipe, run.store, report)


@run_task(**RETRIES)
def resolve_base(run: RunContext) -> EncoderRef:
    """Return the model to tune, fetched if need be; see `mirror.encoders.base_model.find_base`."""
    from_registry = partial(fetch_model, workspace=run.workspace)
    return base_model.find_base(run.recipe.base, from_registry)


@stage_task()
def profile_corpus(
    report: Reporter, run: RunContext, corpus: StageRecord, base: EncoderRef
) -> StageRecord:
    """Describe the corpus for later comparisons; see `mirror.corpus.profile_stage`."""
    record = profile_stage.profile_corpus(corpus, base, run.store, report)
    for name in (TEMPLATES, WITHOUT_LETTERS):
        _warn_of(name, profile_notices(record.counts))
    return record


@stage_task("sample", "Sample of {run.recipe.name}")
def draw_sample(report: Reporter, run: RunContext, corpus: StageRecord) -> StageRecord:
    """Draw the strings to tune on; see `mirror.sampling.sample.sample_strings`."""
    return sampling.sample_strings(run.recipe, corpus, run.store, report)


@stage_task(task_run_name="evaluate-{encoder.label}")
def evaluate(report: Reporter, run: RunContext, encoder: EncoderRef, data: RunData) -> StageRecord:
    """Score an encoder on the benchmarks; see `mirror.evaluation.stage.evaluate_encoder`."""
    record = evaluation_stage.evaluate_encoder(run.recipe, encoder, data, run.store, report)
    if not record.reused:
        number = len(record.counts) + 1  # the last one is the space's diagnostics
        report(ProgressEvent("evaluation", number, number, "benchmarks", "measured"))
    rows = [{"benchmark": name, "score": rounded(score)} for name, score in record.counts.items()]
    label = encoder.label
    show_table(f"scores-{label}", rows, f"Scores of {label}, {run.recipe.name}")
    return record


def evaluate_base(run: RunContext, base: EncoderRef, data: RunData) -> Baseline:
    """Score the base in each reading, and random weights if the recipe asks for that control."""
    baseline = measure_baseline(
        base, run.recipe.tuning, lambda reading: evaluate(run, reading, data)
    )
    if not run.recipe.evaluation.random_control:
        return baseline
    control = tuned_encoder(tune(run, make_random_base(run, base), data), RANDOM_CONTROL)
    return baseline.with_random_control(evaluate(run, control, data))


def evaluate_tuned(
    run: RunContext, encoder: EncoderRef, data: RunData
) -> tuple[StageRecord, list[tuple[StageRecord, str]]]:
    """Score the tuned encoder as its vectors are stored, and before each step to that."""
    steps = storage_steps(encoder, run.recipe)
    larger = [(evaluate(run, step, data), words) for step, words in steps]
    return evaluate(run, stored_encoder(encoder, run.recipe), data), larger


@run_task()
def make_random_base(run: RunContext, base: EncoderRef) -> EncoderRef:
    """Make a model of random weights; see `mirror.encoders.random_baseline.random_base`."""
    return random_base(base, run.recipe.tuning.seed, run.store)


@stage_task("tuning", "Tuning of {run.recipe.name}")
def tune(report: Reporter, run: RunContext, base: EncoderRef, data: RunData) -> StageRecord:
    """Tune the base; see `mirror.tuning.worker.tune_encoder`.

    In a process of its own, which stops at a checkpoint if the run is cancelled.  Without a time
    limit here: the recipe sets it (`tuning.timeout_minutes`).
    """
    return tune_encoder(run.recipe, data.sample, base, run.store, report, pairs=data.pairs)


@stage_task()
def smoke_test(
    report: Reporter, run: RunContext, encoder: EncoderRef, data: RunData
) -> StageRecord:
    """Load and query the encoder in a clean process; see `mirror.release.smoke_test`."""
    record = smoke_tests.run_smoke_test(encoder, data.sample, run.store, report)
    if not record.reused:
        report(ProgressEvent(smoke_tests.STAGE, 1, 1, "encoders"))
    return record


@stage_task()
def compare_indexes(
    report: Reporter, run: RunContext, old: EncoderRef, new: EncoderRef, data: RunData
) -> StageRecord:
    """Test an old index with new queries; see `mirror.release.index_compatibility_stage`."""
    record = index_compatibility_stage.compare_encoders(old, new, data.sample, run.store, report)
    lines = [f"- {line}" for line in summary(read_compatibility(record))]
    lines += ["", f"On the machine that ran it: `{record.path / PAGE}`"]
    show_markdown(
        "compatibility", "\n".join(lines), "Whether an index of the champion's vectors still serves"
    )
    return record


def compare_with_champion(
    run: RunContext,
    verdict: Verdict,
    champion: EncoderRef | None,
    new: EncoderRef,
    data: RunData,
) -> StageRecord | None:
    """Compare with the champion if the encoder is about to replace it; else return None."""
    if champion is None or not verdict.promote:
        return None
    if data.sample.counts["strings"] < MIN_TEXTS:
        log.warning(
            "the sample has %d strings; whether the champion's index still serves is tested with "
            "%d or more",
            data.sample.counts["strings"],
            MIN_TEXTS,
        )
        return None
    return compare_indexes(run, champion, new, data)


@stage_task()
def package(report: Reporter, run: RunContext, results: RunResults) -> StageRecord:
    """Put encoder, model card and lineage together; see `mirror.release.package`."""
    return packaging.package_encoder(results, run.store, report)


@stage_task()
def write_report(
    report_progress: Reporter, run: RunContext, results: RunResults, verdict: Verdict
) -> StageRecord:
    """Write the run's page; see `mirror.release.report.write_report`."""
    return report.write_report(results, verdict, run.store, report_progress)


@stage_task()
def prepare_pieces(report: Reporter, settings: PretrainingSettings, workspace: Path) -> StageRecord:
    """Make vocabulary, first weights and tokens; see `mirror.pretraining.stage`."""
    return pretraining_stage.prepare_pieces(settings, Store(workspace), report)


@stage_task("pretraining", "Pretraining of {settings.name}")
def pretrain_model(
    report: Reporter,
    settings: PretrainingSettings,
    pieces: StageRecord,
    workspace: Path,
    minutes: float | None,
) -> StageRecord:
    """Pretrain a base model; see `mirror.pretraining.stage.pretrain_model`.

    Without a time limit: a run continues over as many sessions as it takes.
    """
    return pretraining_stage.pretrain_model(settings, pieces, Store(workspace), minutes, report)


def _warn_of(name: str, notices: Iterable[Notice]) -> None:
    """Log, before tuning, the notice of that name."""
    for notice in notices:
        if notice.name == name:
            log.warning("%s", notice.text)
