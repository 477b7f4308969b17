"""Tables on the terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.console import Console

from flows.cli.tables import result_table, show_run
from mirror.evaluation.result import BenchmarkResult
from mirror.evaluation.score_change import MetricSummary, ScoreChange
from mirror.release.run_record import RunRecord, StageSummary

RECORD = RunRecord(
    recipe="en-trades",
    started_at="2026-01-02T03:04:05+00:00",
    seconds=75.25,
    stages=(
        StageSummary("corpus", 12.5, True, "/home/corpus"),
        StageSummary("tune", 61.0, False, "/home/tune"),
    ),
    scores=(
        ScoreChange("likeness", "spearman", 120, 0.25, 0.5, 0.25, 0.125, 0.375, {}),
        ScoreChange("search", "mrr", 90, 0.5, 0.4, -0.1, -0.2, -0.05, {"BM25": 0.625}),
    ),
    promote=True,
    reasons=("Better than its base [by much].",),
    encoder="/home/package/encoder",
    report="/home/report/" + "a-long-name/" * 12 + "report.html",
    model="models:/mirror-en-trades/3",
)


def render(record: RunRecord, width: int = 100) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        show_run(record, console)
    return capture.get()


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if start in line)
    return re.split(r"\s{2,}", line.strip())


def test_each_benchmark_has_two_scores_difference_interval_and_bm25() -> None:
    text = render(RECORD)
    assert row(text, "likeness") == ["likeness", ".250", ".500", "+.250", "+.125 to +.375", "–"]
    assert row(text, "search") == ["search", ".500", ".400", "−.100", "−.200 to −.050", ".625"]
    assert row(text, "benchmark")[-2:] == ["95% interval", "BM25"]


def test_without_baselines_there_is_no_column_for_them() -> None:
    assert "BM25" not in render(replace(RECORD, scores=RECORD.scores[:1]))


def test_the_loss_has_a_line_where_there_was_tuning() -> None:
    assert "Loss" not in render(RECORD)
    text = render(replace(RECORD, loss="3.00 in the first [tenth]: as expected"))
    assert "Loss  3.00 in the first [tenth]: as expected\n" in text


def test_extra_metrics_have_their_own_table() -> None:
    assert "also measured" not in render(RECORD)
    lines = (MetricSummary("space", "mean vector norm", 13.79, 2.11),)
    text = render(replace(RECORD, extra_metrics=lines))
    assert row(text, "space") == ["space", "mean vector norm", "13.790", "2.110"]


def test_extra_metrics_of_one_encoder_follow_its_score() -> None:
    results = {
        "linked": BenchmarkResult("acc@1", 0.5, 9, {}, {"exact match": 0.25}, {"acc@5": 0.75}),
        "search": BenchmarkResult("mrr@10", 0.5, 9, {}, {"BM25": 0.625}),
    }
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(result_table(results, "an encoder"))
    text = capture.get()
    assert row(text, "linked") == ["linked", "acc@1", "9", ".500", "–", ".250", "acc@5 .750"]
    assert row(text, "search") == ["search", "mrr@10", "9", ".500", ".625", "–"]


def test_the_verdict_is_printed_with_its_reasons() -> None:
    assert "Champion – passed the gate" in render(RECORD)
    assert "Better than its base [by much]." in render(RECORD)
    assert "Challenger – not promoted" in render(replace(RECORD, promote=False))


def test_stages_show_reuse_and_duration() -> None:
    lines = [line.split() for line in render(RECORD).splitlines()]
    assert ["corpus", "reused", "took", "12.5", "s"] in lines
    assert ["tune", "made", "61.0", "s"] in lines
    assert "1 of 2 stages reused; 75.2 s in all" in render(RECORD)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_paths_are_not_wrapped_at_any_width(width: int) -> None:
    lines = render(RECORD, width).splitlines()
    assert any(line.endswith(RECORD.report) for line in lines)
    assert any(line.endswith("models:/mirror-en-trades/3") for line in lines)
