"""What a run came to, on its page in Prefect: verdict, scores, reasons, and where to read on."""

from __future__ import annotations

from collections.abc import Iterator

from mirror.formatting import score, signed
from mirror.release.run_record import RunRecord, ScoreLine
from tasks.artifacts import show_markdown
from tasks.registry.candidate import Registration


def show_outcome(record: RunRecord, registration: Registration) -> None:
    """Leaves it with the flow run itself: call it in the flow, not in a task."""
    text = "\n".join(outcome_lines(record, registration))
    show_markdown("outcome", text, f"What {record.recipe} came to")


def outcome_lines(record: RunRecord, registration: Registration) -> Iterator[str]:
    """Markdown. Links lead to MLflow's pages: a browser opens no file from a page of the web."""
    yield f"## {'Champion' if record.promote else 'Challenger'}: {registration.text}"
    yield ""
    yield from _table(record.scores, record.confidence)
    yield ""
    yield from (f"- {reason}" for reason in record.reasons if reason != registration.text)
    yield ""
    if registration.pages:
        yield " · ".join(f"[{name}]({link})" for name, link in registration.pages)
        yield ""
    yield f"On the machine that ran it: report `{record.report}`, encoder `{record.encoder}`"


def _table(lines: tuple[ScoreLine, ...], confidence: float) -> Iterator[str]:
    others = sorted({name for line in lines for name in line.baselines})
    heads = ["benchmark", "base", "tuned", "change", f"{confidence:.0%} interval"]
    heads += [name.upper() for name in others]
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|---:' * (len(heads) - 1)}|"
    for line in lines:
        cells = [line.benchmark, score(line.before), f"**{score(line.after)}**"]
        cells += [signed(line.change), f"{signed(line.low)} to {signed(line.high)}"]
        cells += [score(line.baselines[name]) if name in line.baselines else "–" for name in others]
        yield f"| {' | '.join(cells)} |"
