"""The report, and the run's record for `mirror show`, as tasks."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from mirror.recipe import Recipe
from mirror.release import report
from mirror.release.gate import Verdict
from mirror.release.run_record import RunRecord, StartTime, save_record, stage_lines
from mirror.release.run_results import RunResults, extra_metric_lines, score_lines
from mirror.store import StageRecord, Store
from tasks.artifacts import rounded, show_table
from tasks.change_detection import ChangeReport, RunInputs
from tasks.notifications import notify
from tasks.progress import Reporter
from tasks.registry.candidate import Registration, RegistrationCandidate
from tasks.stage_task import as_cached_state, as_named_state, stage_task

UNCHANGED = "Unchanged"
"""The state of a flow that found nothing to do."""


@stage_task()
def write_report(results: RunResults, verdict: Verdict, workspace: Path) -> StageRecord:
    """Writes the page; see `mirror.release.report.write_report`."""
    record = report.write_report(results, verdict, Store(workspace), Reporter())
    return as_cached_state(record)


def report_file(page: StageRecord) -> Path:
    """The page itself."""
    return page.path / report.REPORT


@task(task_run_name="record_run")
def record_run(
    candidate: RegistrationCandidate,
    ends: tuple[StageRecord, ...],
    registration: Registration,
    began: StartTime,
    workspace: Path,
) -> RunRecord:
    """Writes down what a run came to; `ends` are the probe, the package and the page."""
    made, verdict = candidate.results, candidate.verdict
    inputs = [made.corpus, made.pairs, made.profile, made.sample]
    records = [*filter(None, inputs), made.tuned, made.before, made.after]
    if candidate.champion_scores:
        records.append(candidate.champion_scores)
    if made.compatibility:
        records.append(made.compatibility)
    record = RunRecord(
        recipe=candidate.recipe.name,
        started_at=began.at,
        seconds=began.seconds(),
        stages=stage_lines([*records, *ends]),
        scores=score_lines(made),
        promote=registration.promoted,
        reasons=(*verdict.reasons, registration.text),
        encoder=str(candidate.encoder),
        report=str(candidate.report),
        model=registration.uri,
        confidence=candidate.recipe.evaluation.gate.confidence,
        extra_metrics=extra_metric_lines(made),
    )
    save_record(record, workspace)
    _show(record)
    notify(f"{record.recipe}: {registration.outcome}", [*record.reasons, record.model])
    return record


def record_unchanged(
    recipe: Recipe, made: RunInputs, change: ChangeReport, began: StartTime, workspace: Path
) -> RunRecord:
    """Writes down that a run found nothing to do, and names the flow's state for it."""
    model = recipe.registry.model
    record = RunRecord(
        recipe=recipe.name,
        started_at=began.at,
        seconds=began.seconds(),
        stages=stage_lines([*filter(None, (made.corpus, made.pairs, made.profile))]),
        scores=(),
        promote=False,
        reasons=change.reasons,
        encoder="",
        report="",
        model=f"models:/{model}/{change.champion}",
        confidence=recipe.evaluation.gate.confidence,
        unchanged=True,
    )
    save_record(record, workspace)
    return as_named_state(record, UNCHANGED, " ".join(change.reasons))


def _show(record: RunRecord) -> None:
    stages = [
        {"stage": line.stage, "seconds": line.seconds, "reused": line.reused, "folder": line.folder}
        for line in record.stages
    ]
    show_table("stages", stages, f"Stages of {record.recipe}")
    scores = [
        {
            "benchmark": line.benchmark,
            "before": rounded(line.before),
            "after": rounded(line.after),
            "change": rounded(line.change),
            "interval": f"{line.low:+.4f} to {line.high:+.4f}",
        }
        for line in record.scores
    ]
    show_table("scores", scores, f"Scores of {record.recipe}, before and after tuning")
