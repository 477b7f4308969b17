"""A study's figure: our scores with their spread over seeds, and the paper's beside them.

An SVG file of its own, on white, so that it is the same on every page; the same numbers give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mirror.experiments.results import Row, StudyOutcome, measures, printed_series, spread
from mirror.release.plots import BASE_STYLE, figure_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.2, 3.6
"""Inches of a panel."""
COLOURS = ("#0b6e99", "#c2571a", "#4d7c3a", "#8a4b9c", "#8c6d1f", "#5b6470")
STYLE: dict[Any, Any] = {
    **BASE_STYLE,
    "svg.hashsalt": "study",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "axes.titlesize": 9,
}


@dataclass(frozen=True)
class Series:
    """One curve, or one colour of bars."""

    name: str
    places: tuple[float | str, ...]
    values: tuple[float, ...]
    spreads: tuple[float, ...]
    """Half the height of the error bars."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    series: tuple[Series, ...]


def draw_figure(outcome: StudyOutcome) -> str:
    """The outcome as SVG: a row of panels for each level, ours to the left of the paper's."""
    import matplotlib
    from matplotlib.figure import Figure

    grid = [panels_of(outcome, level) for level in outcome.levels()]
    across = max(map(len, grid))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * across, HEIGHT * len(grid) + 0.3), layout="constrained")
        figure.suptitle(outcome.title, fontsize=11, x=0.01, ha="left")
        for line, panels in enumerate(grid):
            for column, panel in enumerate(panels):
                axes = figure.add_subplot(len(grid), across, line * across + column + 1)
                _draw_panel(axes, panel, outcome)
                axes.set_xlabel(outcome.axis)
        return figure_svg(figure, facecolor="white")


def panels_of(outcome: StudyOutcome, level: str) -> list[Panel]:
    """A level's panels: ours, by curve or by measure, and the paper's if it prints any."""
    rows = [row for row in outcome.rows if row.level == level]
    several = f", {level}s" if len(outcome.levels()) > 1 else ""
    kind = outcome.figure
    names, lines = measures(rows), list(dict.fromkeys(row.line for row in rows))
    if lines == [""]:
        panels = _by_scale(f"ours{several}", [_ours(name, rows, name, kind) for name in names])
    else:
        by_line = {line: [row for row in rows if row.line == line] for line in lines}
        panels = [
            Panel(
                f"ours{several}: {name}",
                tuple(_ours(line, held, name, kind) for line, held in by_line.items()),
            )
            for name in names
        ]
    theirs = [_theirs(name, rows, kind) for name in printed_series(rows)]
    return [*panels, *_by_scale(f"the paper{several}", theirs)]


def _by_scale(title: str, series: Sequence[Series]) -> list[Panel]:
    """Scores, which end at 1, in one panel; what goes beyond in another."""
    held = [each for each in series if each.values]
    scores = tuple(each for each in held if max(map(abs, each.values)) <= 1)
    others = tuple(each for each in held if each not in scores)
    return [Panel(title, part) for part in (scores, others) if part]


def _ours(title: str, rows: Sequence[Row], measure: str, kind: str) -> Series:
    held = [(row, row.scores[measure]) for row in rows if row.scores.get(measure)]
    return Series(
        title,
        tuple(_place(row, kind) for row, _ in held),
        tuple(fmean(values) for _, values in held),
        tuple(spread(values) for _, values in held),
    )


def _theirs(name: str, rows: Sequence[Row], kind: str) -> Series:
    held = [row for row in rows if name in row.paper]
    return Series(
        name,
        tuple(_place(row, kind) for row in held),
        tuple(row.paper[name] for row in held),
        (0.0,) * len(held),
    )


def _place(row: Row, kind: str) -> float | str:
    return row.label if kind == "bars" or row.x is None else row.x


def _draw_panel(axes: Axes, panel: Panel, outcome: StudyOutcome) -> None:
    axes.set_title(panel.title, loc="left")
    if outcome.figure == "bars":
        _draw_bars(axes, panel)
    else:
        for number, series in enumerate(panel.series):
            axes.errorbar(
                [float(place) for place in series.places],
                series.values,
                yerr=_bars(series),
                color=COLOURS[number % len(COLOURS)],
                marker="o",
                markersize=4,
                capsize=3,
                label=series.name,
            )
        if outcome.logarithmic:
            axes.set_xscale("log")
        _mark_places(axes, panel)
    below = 0.28 if outcome.figure == "bars" else 0.2
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -below))


def _bars(series: Series) -> tuple[float, ...] | None:
    """Error bars, where anything is known of the spread."""
    return series.spreads if any(series.spreads) else None


def _mark_places(axes: Axes, panel: Panel) -> None:
    """Ticks where there are points, and nowhere else."""
    from matplotlib.ticker import NullLocator

    places = sorted({float(place) for series in panel.series for place in series.places})
    axes.set_xticks(places, [f"{place:,g}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_bars(axes: Axes, panel: Panel) -> None:
    labels = list(dict.fromkeys(str(place) for each in panel.series for place in each.places))
    width = 0.8 / len(panel.series)
    for number, series in enumerate(panel.series):
        left = (number - (len(panel.series) - 1) / 2) * width
        axes.bar(
            [labels.index(str(place)) + left for place in series.places],
            series.values,
            width,
            yerr=_bars(series),
            capsize=3,
            color=COLOURS[number % len(COLOURS)],
            label=series.name,
        )
    axes.set_xticks(range(len(labels)), [label.replace(", ", ",\n") for label in labels])
