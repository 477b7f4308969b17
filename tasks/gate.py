"""The promotion gate as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.evaluation.baseline import Baseline
from mirror.evaluation.comparison import compare, compare_slices, guard_change
from mirror.evaluation.storage_loss import storage_losses
from mirror.release import gate
from mirror.release.gate import GateInput, Verdict
from mirror.release.run_results import read_json
from mirror.release.smoke_test import read_smoke_test
from mirror.run_context import RunContext
from mirror.store import StageRecord
from tasks.artifacts import show_markdown
from tasks.stage_task import run_task


@run_task()
def decide(
    run: RunContext,
    baseline: Baseline,
    after: StageRecord,
    champion: StageRecord | None,
    smoke_test: StageRecord,
    before_storage: Sequence[tuple[StageRecord, str]] = (),
) -> Verdict:
    """Compare the tuned encoder with base and champion; see `mirror.release.gate`."""
    recipe, section = run.recipe, run.recipe.evaluation.gate
    diagnostics = read_json(after, "diagnostics.json")
    gate_input = GateInput(
        base=compare(baseline.record, after, section),
        readings=baseline.readings,
        mean_cosine=float(diagnostics["mean_cosine"]),
        unique_fraction=float(diagnostics["unique_fraction"]),
        champion=compare(champion, after, section) if champion else None,
        slices=compare_slices(champion, after, section) if champion else (),
        guard=guard_change(recipe.evaluation.guard, baseline.record, after),
        smoke_test=read_smoke_test(smoke_test),
        storage=storage_losses(before_storage, after, recipe),
    )
    verdict = gate.decide(recipe, gate_input)
    heading = "Promote" if verdict.promote else "Do not promote"
    text = "\n".join([f"**{heading}**", "", *(f"- {reason}" for reason in verdict.reasons)])
    show_markdown("verdict", text, f"The gate's verdict on {recipe.name}")
    return verdict
