"""Outcome of a run on the page of its flow run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mirror.evaluation.score_change import ScoreChange
from tasks.run_summary import outcome_lines


def test_the_outcome_has_a_table_of_scores_with_all_baselines() -> None:
    changes = ("spearman", 10, 0.5, 0.6, 0.1, 0.05, 0.15)
    scores = (
        ScoreChange("first | set", *changes),
        ScoreChange("second", *changes, {"BM25": 0.25}),
    )
    record: Any = SimpleNamespace(
        promote=True, scores=scores, confidence=0.95, reasons=(), report="r.html", encoder="e"
    )
    registration: Any = SimpleNamespace(text="version 1", pages=())
    text = "\n".join(outcome_lines(record, registration))
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert table[0] == ["| benchmark", "base", "tuned", "change", "95% interval", "BM25 |"]
    assert table[1] == ["| ---", *["---:"] * 4, "---: |"]
    assert table[2][-1] == "– |"
    assert "| first \\| set | " in text
    assert len(table[3]) == 6 and table[3][2].startswith("**")
