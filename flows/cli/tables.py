"""Tables on the terminal: runs, scores, recipes, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mirror.evaluation.score_change import MetricSummary, ScoreChange
from mirror.formatting import score, signed
from mirror.release.notices import Notice, notice_lines
from mirror.release.run_record import RunRecord, StageSummary

if TYPE_CHECKING:
    from mirror.evaluation.result import BenchmarkResult
    from mirror.maintenance.health_check import CheckResult
    from mirror.recipe import Recipe


MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def show_run(record: RunRecord, console: Console) -> None:
    """Print a run's scores, verdict, stages, and the paths of its results."""
    console.print()
    if record.unchanged:
        console.print(Text(record.recipe, "bold"))
    else:
        console.print(score_table(record.scores, record.confidence, title=record.recipe))
    if record.extra_metrics:
        console.print(extra_metric_table(record.extra_metrics))
    console.print(_verdict(record))
    if record.loss:
        console.print(Text.assemble(("Loss  ", "bold"), record.loss, "\n"))
    if record.notices:
        console.print(_notices(record.notices))
    console.print(_stages(record.stages, record.seconds))
    for name, path in (
        ("model", record.model),
        ("encoder", record.encoder),
        ("report", record.report),
    ):
        if not path:
            continue
        # Never wrapped: it is there to be copied.
        console.print(Text.assemble((f"{name:<9}", "dim"), path), soft_wrap=True)


def score_table(
    changes: Sequence[ScoreChange],
    confidence: float,
    title: str,
    columns: tuple[str, str] = ("before", "after"),
) -> Table:
    """Return a table of benchmarks: two scores, their difference and its confidence interval."""
    baselines = sorted({name for change in changes for name in change.baselines})
    numbers = (*columns, "difference", f"{confidence:.0%} interval", *baselines)
    table = plain_table(title, ("benchmark",), numbers)
    for change in changes:
        table.add_row(
            Text(change.benchmark),
            score(change.before),
            Text(score(change.after), "bold"),
            Text(signed(change.change), _colour(change)),
            f"{signed(change.low)} to {signed(change.high)}",
            *(_baseline_score(change, name) for name in baselines),
        )
    return table


def extra_metric_table(
    metrics: Sequence[MetricSummary], columns: tuple[str, str] = ("before", "after")
) -> Table:
    """Return a table of metrics that do not decide, before and after."""
    table = plain_table(Text("also measured", "dim"), ("benchmark", "metric"), columns)
    for metric in metrics:
        names = Text(metric.benchmark), Text(metric.metric)
        table.add_row(*names, score(metric.before), score(metric.after))
    return table


def _colour(change: ScoreChange) -> str:
    if change.low > 0:
        return "green"
    return "red" if change.high < 0 else "dim"


def _baseline_score(change: ScoreChange, name: str) -> Text:
    if name not in change.baselines:
        return Text("–", "dim")
    value = change.baselines[name]
    return Text(score(value), "yellow" if value > change.after else "")


def _verdict(record: RunRecord) -> RenderableType:
    heading = (
        Text("Champion", "bold green") if record.promote else Text("Challenger", "bold yellow")
    )
    meaning = " – passed the gate" if record.promote else " – not promoted"
    if record.unchanged:
        heading, meaning = Text("Unchanged", "bold cyan"), " – the champion stays"
    reasons = [Padding(Text(reason), (0, 0, 0, 2)) for reason in record.reasons]
    return Group(Text.assemble(heading, meaning), *reasons, "")


def _notices(notices: Sequence[Notice]) -> RenderableType:
    lines = [Padding(Text(line), (0, 0, 0, 2)) for line in notice_lines(notices)]
    return Group(Text("Cut, left out or replaced", "bold"), *lines, "")


def _stages(stages: Sequence[StageSummary], seconds: float) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column()
    grid.add_column(justify="right")
    for stage in stages:
        origin = Text("reused", "cyan") if stage.reused else Text("made", "green")
        took = f"took {stage.seconds:,.1f} s" if stage.reused else f"{stage.seconds:,.1f} s"
        grid.add_row(Text(stage.stage, "dim"), origin, Text(took, "dim" if stage.reused else ""))
    reused = sum(stage.reused for stage in stages)
    summary = f"{reused} of {len(stages)} stages reused; {seconds:,.1f} s in all"
    return Group(grid, Text(summary, "dim"), "")


def result_table(results: Mapping[str, BenchmarkResult], title: str) -> Table:
    """Return a table of one encoder's scores."""
    names = sorted({name for result in results.values() for name in result.baselines})
    has_extra = any(result.extra_metrics for result in results.values())
    table = plain_table(title, ("benchmark", "metric"), ("items", "score", *names))
    if has_extra:
        table.add_column("also", overflow="fold")
    for name, result in results.items():
        baselines = (result.baselines.get(baseline) for baseline in names)
        table.add_row(
            Text(name),
            result.metric,
            f"{result.n:,}",
            Text(score(result.score), "bold"),
            *("–" if value is None else score(value) for value in baselines),
            *([_extra_metrics(result)] if has_extra else []),
        )
    return table


def _extra_metrics(result: BenchmarkResult) -> Text:
    return Text(", ".join(f"{name} {score(value)}" for name, value in result.extra_metrics.items()))


def recipe_table(recipes: Sequence[Recipe]) -> Table:
    """Return a table of recipes with language, level, base and registered model."""
    table = plain_table(texts=("recipe", "language", "level", "base", "model"))
    for recipe in recipes:
        base = recipe.base.path or recipe.base.hub or recipe.base.registry
        row = (recipe.name, recipe.language, recipe.level, base, recipe.registry.model)
        table.add_row(*(Text(str(value)) for value in row))
    return table


def paper_recipe_table(recipes: Sequence[Recipe]) -> Table:
    """Return a table of the paper's recipes with their bases."""
    table = plain_table(Text("Recipes of the paper", "italic"), ("recipe", "base"))
    table.columns[0].no_wrap = True
    for recipe in recipes:
        base = recipe.base.hub or recipe.base.path or recipe.base.registry
        table.add_row(Text(recipe.name), Text(str(base)))
    return table


def doctor_table(results: Sequence[CheckResult]) -> Table:
    """Return a table of checks with their results and remedies."""
    table = plain_table(texts=("", "check", "result"))
    for result in results:
        text = Text(result.text)
        if result.remedy and result.state != "ok":
            text.append(f"\n→ {result.remedy}", "bold")
        mark, style = MARKS[result.state]
        table.add_row(Text(mark, style), Text(result.name), text)
    return table


def plain_table(
    title: str | Text = "", texts: Sequence[str] = (), numbers: Sequence[str] = ()
) -> Table:
    """Return an empty table in the style of all tables.

    Args:
        title: bold, unless it has a style of its own.
        texts: names of the columns of texts, which wrap.
        numbers: names of the columns to the right of these.
    """
    heading = Text(title, "bold") if isinstance(title, str) else title
    table = Table(
        title=heading if heading else None,
        title_justify="left",
        header_style="dim",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in texts:
        table.add_column(Text(name), overflow="fold")
    for name in numbers:
        table.add_column(Text(name), justify="right", overflow="fold")
    return table
