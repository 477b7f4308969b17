"""Records of runs, for `mirror show` and for their pages in Prefect."""

from __future__ import annotations

from collections.abc import Iterator

from mirror.evaluation.score_change import ScoreChange
from mirror.formatting import score, signed
from mirror.release.notices import find_notices
from mirror.release.run_record import RunRecord, StartTime, save_record, stage_summaries
from mirror.release.run_results import metric_changes, score_changes
from mirror.release.training_curve import loss_text
from mirror.rendering import markdown_table
from mirror.run_context import RunContext
from mirror.store import StageRecord
from tasks.artifacts import rounded, show_markdown, show_table
from tasks.change_detection import ChangeReport, RunInputs
from tasks.notifications import notify
from tasks.registry.candidate import Registration, RegistrationCandidate
from tasks.stage_task import as_named_state, run_task

UNCHANGED = "Unchanged"
"""The state of a flow that found nothing to do."""


def record(
    run: RunContext,
    candidate: RegistrationCandidate,
    smoke_test: StageRecord,
    registration: Registration,
    started: StartTime,
) -> RunRecord:
    """Record the run, and show its outcome on the page of the flow run."""
    run_record = record_run(run, candidate, smoke_test, registration, started)
    show_outcome(run_record, registration)
    return run_record


@run_task()
def record_run(
    run: RunContext,
    candidate: RegistrationCandidate,
    smoke_test: StageRecord,
    registration: Registration,
    started: StartTime,
) -> RunRecord:
    """Write the run's record, which `mirror show` reads, and send notifications."""
    results, verdict = candidate.results, candidate.verdict
    inputs = [results.corpus, results.pairs, results.profile, results.sample]
    records = [*filter(None, inputs), results.tuned, results.before, results.after]
    if candidate.champion_scores:
        records.append(candidate.champion_scores)
    if results.compatibility:
        records.append(results.compatibility)
    record = RunRecord(
        recipe=candidate.recipe.name,
        started_at=started.at,
        seconds=started.seconds(),
        stages=stage_summaries([*records, smoke_test, candidate.package, candidate.page]),
        scores=score_changes(results),
        promote=registration.promoted,
        reasons=(*verdict.reasons, registration.text),
        encoder=str(candidate.encoder),
        report=str(candidate.report),
        model=registration.uri,
        confidence=candidate.recipe.evaluation.gate.confidence,
        extra_metrics=metric_changes(results),
        readings=results.readings,
        loss=loss_text(results),
        notices=find_notices(results),
    )
    save_record(record, run.workspace)
    _show(record)
    notify(f"{record.recipe}: {registration.outcome}", [*record.reasons, record.model])
    return record


def record_unchanged(
    run: RunContext, inputs: RunInputs, change: ChangeReport, started: StartTime
) -> RunRecord:
    """Record that a run had nothing to do, and name the flow's state for it."""
    recipe = run.recipe
    model = recipe.registry.model
    record = RunRecord(
        recipe=recipe.name,
        started_at=started.at,
        seconds=started.seconds(),
        stages=stage_summaries([*filter(None, (inputs.corpus, inputs.pairs, inputs.profile))]),
        scores=(),
        promote=False,
        reasons=change.reasons,
        encoder="",
        report="",
        model=f"models:/{model}/{change.champion}",
        confidence=recipe.evaluation.gate.confidence,
        unchanged=True,
    )
    save_record(record, run.workspace)
    return as_named_state(record, UNCHANGED, " ".join(change.reasons))


def show_outcome(record: RunRecord, registration: Registration) -> None:
    """Show the outcome on the page of the flow run; call it in the flow, not in a task."""
    text = "\n".join(outcome_lines(record, registration))
    show_markdown("outcome", text, f"Outcome of {record.recipe}")


def outcome_lines(record: RunRecord, registration: Registration) -> Iterator[str]:
    """Yield the outcome in Markdown.

    Links lead to MLflow: a browser does not open local files from a web page.
    """
    yield f"## {'Champion' if record.promote else 'Challenger'}: {registration.text}"
    yield ""
    yield _table(record.scores, record.confidence)
    yield ""
    yield from (f"- {reason}" for reason in record.reasons if reason != registration.text)
    yield ""
    if registration.pages:
        yield " · ".join(f"[{name}]({link})" for name, link in registration.pages)
        yield ""
    yield f"On the machine that ran it: report `{record.report}`, encoder `{record.encoder}`"


def _table(lines: tuple[ScoreChange, ...], confidence: float) -> str:
    others = sorted({name for line in lines for name in line.baselines})
    heads = ["benchmark", "base", "tuned", "change", f"{confidence:.0%} interval"]
    heads += others
    rows = []
    for line in lines:
        cells = [line.benchmark, score(line.before), f"**{score(line.after)}**"]
        cells += [signed(line.change), f"{signed(line.low)} to {signed(line.high)}"]
        cells += [score(line.baselines[name]) if name in line.baselines else "–" for name in others]
        rows.append(cells)
    return markdown_table(heads, rows)


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
