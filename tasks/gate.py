"""The promotion gate as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.evaluation.baseline import Baseline
from mirror.evaluation.comparison import compare, compare_slices, guard_change
from mirror.evaluation.document_counts import retrieval_forms
from mirror.evaluation.general import describe_unseen_loss
from mirror.evaluation.storage_loss import storage_losses
from mirror.held_out import HELD_OUT_SHARE, overlap
from mirror.recipe import Recipe
from mirror.release import gate
from mirror.release.gate import GateInput, Verdict
from mirror.release.smoke_test import read_smoke_test
from mirror.run_context import RunContext
from mirror.stage_files import read_json
from mirror.store import StageRecord
from tasks.artifacts import show_markdown
from tasks.registry.candidate import Champion
from tasks.stage_task import run_task


def find_overlap(recipe: Recipe, sample: StageRecord, champion: Champion | None) -> str:
    """Return why the champion may have been tuned on what it is judged by; empty if it was not.

    Only parts of the corpus's documents count: other benchmarks are never tuned on.
    """
    if champion is None or not retrieval_forms(recipe):
        return ""
    return overlap(champion.held_out_share, sample.counts[HELD_OUT_SHARE])


@run_task()
def decide(
    run: RunContext,
    sample: StageRecord,
    baseline: Baseline,
    after: StageRecord,
    champion: Champion | None,
    champion_scores: StageRecord | None,
    smoke_test: StageRecord,
    before_storage: Sequence[tuple[StageRecord, str]] = (),
) -> Verdict:
    """Compare the tuned encoder with base and champion; see `mirror.release.gate`."""
    recipe, section = run.recipe, run.recipe.evaluation.gate
    diagnostics = read_json(after.path / "diagnostics.json")
    gate_input = GateInput(
        base=compare(baseline.record, after, section),
        readings=baseline.readings,
        mean_cosine=float(diagnostics["mean_cosine"]),
        unique_fraction=float(diagnostics["unique_fraction"]),
        champion=compare(champion_scores, after, section) if champion_scores else None,
        slices=compare_slices(champion_scores, after, section) if champion_scores else (),
        guard=guard_change(recipe.evaluation.guard, baseline.record, after),
        smoke_test=read_smoke_test(smoke_test),
        champion_overlap=find_overlap(recipe, sample, champion),
        unseen_loss=describe_unseen_loss(recipe),
        storage=storage_losses(before_storage, after, recipe),
    )
    verdict = gate.decide(recipe, gate_input)
    heading = "Promote" if verdict.promote else "Do not promote"
    text = "\n".join([f"**{heading}**", "", *(f"- {reason}" for reason in verdict.reasons)])
    show_markdown("verdict", text, f"The gate's verdict on {recipe.name}")
    return verdict
