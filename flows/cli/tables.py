"""What a run came to, on the terminal."""

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
from mirror.release.run_record import RunRecord, StageSummary

if TYPE_CHECKING:
    from mirror.evaluation.result import BenchmarkResult
    from mirror.maintenance.health_check import CheckResult
    from mirror.recipe import Recipe


MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def show_run(record: RunRecord, console: Console) -> None:
    """Prints scores, verdict, stages and where everything is."""
    console.print()
    if record.unchanged:
        console.print(Text(record.recipe, "bold"))
    else:
        console.print(score_table(record.scores, record.confidence, title=record.recipe))
    if record.extra_metrics:
        console.print(extra_metric_table(record.extra_metrics))
    console.print(_verdict(record))
    console.print(_stages(record.stages, record.seconds))
    for name, place in (
        ("model", record.model),
        ("encoder", record.encoder),
        ("report", record.report),
    ):
        if not place:
            continue
        # Never cut or wrapped: people copy it.
        console.print(Text.assemble((f"{name:<9}", "dim"), place), soft_wrap=True)


def score_table(
    lines: Sequence[ScoreChange],
    confidence: float,
    title: str,
    sides: tuple[str, str] = ("before", "after"),
) -> Table:
    """Each benchmark before and after, with the difference and its interval."""
    others = sorted({name for line in lines for name in line.baselines})
    table = plain_table(Text(title, "bold"))
    table.add_column("benchmark", overflow="fold")
    for name in (*sides, "difference", f"{confidence:.0%} interval", *map(str.upper, others)):
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(
            Text(line.benchmark),
            score(line.before),
            Text(score(line.after), "bold"),
            Text(signed(line.change), _colour(line)),
            f"{signed(line.low)} to {signed(line.high)}",
            *(_beside(line, name) for name in others),
        )
    return table


def extra_metric_table(
    lines: Sequence[MetricSummary], sides: tuple[str, str] = ("before", "after")
) -> Table:
    """Numbers beside the scores, before and after."""
    table = plain_table(Text("also measured", "dim"))
    for name in ("benchmark", "measure"):
        table.add_column(name, overflow="fold")
    for name in sides:
        table.add_column(name, justify="right")
    for line in lines:
        names = Text(line.benchmark), Text(line.metric)
        table.add_row(*names, score(line.before), score(line.after))
    return table


def _colour(line: ScoreChange) -> str:
    if line.low > 0:
        return "green"
    return "red" if line.high < 0 else "dim"


def _beside(line: ScoreChange, name: str) -> Text:
    if name not in line.baselines:
        return Text("–", "dim")
    value = line.baselines[name]
    return Text(score(value), "yellow" if value > line.after else "")


def _verdict(record: RunRecord) -> RenderableType:
    heading = (
        Text("Champion", "bold green") if record.promote else Text("Challenger", "bold yellow")
    )
    meaning = " – the gate let it through" if record.promote else " – it is not made champion"
    if record.unchanged:
        heading, meaning = Text("Unchanged", "bold cyan"), " – nothing to do; the champion stays"
    reasons = [Padding(Text(reason), (0, 0, 0, 2)) for reason in record.reasons]
    return Group(Text.assemble(heading, meaning), *reasons, "")


def _stages(stages: Sequence[StageSummary], seconds: float) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column()
    grid.add_column(justify="right")
    for line in stages:
        how = Text("reused", "cyan") if line.reused else Text("made", "green")
        took = f"took {line.seconds:,.1f} s" if line.reused else f"{line.seconds:,.1f} s"
        grid.add_row(Text(line.stage, "dim"), how, Text(took, "dim" if line.reused else ""))
    reused = sum(line.reused for line in stages)
    summary = f"{reused} of {len(stages)} stages reused; {seconds:,.1f} s in all"
    return Group(grid, Text(summary, "dim"), "")


def result_table(results: Mapping[str, BenchmarkResult], title: str) -> Table:
    """One encoder's scores."""
    others = sorted({name for result in results.values() for name in result.baselines})
    measured = any(result.extra_metrics for result in results.values())
    table = plain_table(Text(title, "bold"))
    table.add_column("benchmark", overflow="fold")
    table.add_column("metric")
    for name in ("items", "score", *map(str.upper, others)):
        table.add_column(name, justify="right")
    if measured:
        table.add_column("also", overflow="fold")
    for name, result in results.items():
        baselines = (result.baselines.get(other) for other in others)
        table.add_row(
            Text(name),
            result.metric,
            f"{result.n:,}",
            Text(score(result.score), "bold"),
            *("–" if value is None else score(value) for value in baselines),
            *([_measures(result)] if measured else []),
        )
    return table


def _measures(result: BenchmarkResult) -> Text:
    return Text(", ".join(f"{name} {score(value)}" for name, value in result.extra_metrics.items()))


def recipe_table(recipes: Sequence[Recipe]) -> Table:
    """Recipes, what they are for and where they start."""
    table = plain_table()
    for name in ("recipe", "language", "level", "base", "model"):
        table.add_column(name, overflow="fold")
    for recipe in recipes:
        base = recipe.base.path or recipe.base.hub or recipe.base.registry
        row = (recipe.name, recipe.language, recipe.level, base, recipe.registry.model)
        table.add_row(*(Text(str(value)) for value in row))
    return table


def paper_recipe_table(recipes: Sequence[Recipe]) -> Table:
    """The paper's recipes and where they start; the rest is in their names."""
    table = plain_table()
    table.title, table.title_justify = "The paper's rows", "left"
    table.add_column("recipe", no_wrap=True)
    table.add_column("base", overflow="fold")
    for recipe in recipes:
        base = recipe.base.hub or recipe.base.path or recipe.base.registry
        table.add_row(Text(recipe.name), Text(str(base)))
    return table


def doctor_table(findings: Sequence[CheckResult]) -> Table:
    """What was looked at, how it is, and what to do about it."""
    table = plain_table()
    for name in ("", "what", "how it is"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        found = Text(finding.text)
        if finding.remedy and finding.state != "ok":
            found.append(f"\n→ {finding.remedy}", "bold")
        mark, style = MARKS[finding.state]
        table.add_row(Text(mark, style), Text(finding.name), found)
    return table


def plain_table(title: Text | None = None) -> Table:
    """A table in the style of all others."""
    return Table(
        title=title, title_justify="left", header_style="dim", box=SIMPLE_HEAD, pad_edge=False
    )
