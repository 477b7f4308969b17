"""The gate as a task."""

from __future__ import annotations

import json

from prefect import task

from mirror.evaluation.comparison import compare, compare_slices
from mirror.release import gate
from mirror.release.gate import GateInput, Verdict
from mirror.release.smoke_test_result import read_probe
from mirror.run_context import RunContext
from mirror.store import StageRecord
from tasks.artifacts import show_markdown


@task(task_run_name="decide")
def decide(
    run: RunContext,
    before: StageRecord,
    after: StageRecord,
    champion: StageRecord | None,
    probe: StageRecord,
) -> Verdict:
    """Compares the tuned encoder with base and champion; see `mirror.release.gate`."""
    recipe, section = run.recipe, run.recipe.evaluation.gate
    evidence = GateInput(
        base=compare(before, after, section),
        looks=json.loads((after.path / "diagnostics.json").read_text(encoding="utf-8")),
        champion=compare(champion, after, section) if champion else None,
        slices=compare_slices(champion, after, section) if champion else (),
        probe=read_probe(probe),
    )
    verdict = gate.decide(recipe, evidence)
    heading = "Promote" if verdict.promote else "Do not promote"
    text = "\n".join([f"**{heading}**", "", *(f"- {reason}" for reason in verdict.reasons)])
    show_markdown("verdict", text, f"The gate's verdict on {recipe.name}")
    return verdict
