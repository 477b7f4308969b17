"""Figure of a study: our scores with their spread over seeds, and the published values.

A standalone SVG on white; the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirror.config_base import Level
from mirror.experiments.plan import ExperimentPlan
from mirror.experiments.results import Measured, Values
from mirror.experiments.study import Study, Variant
from mirror.experiments.text_tables import study_columns
from mirror.release.plots import BASE_STYLE, figure_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.2, 3.6
"""Inches of a panel."""
COLOURS = ("#0b6e99", "#c2571a", "#4d7c3a", "#8a4b9c", "#8c6d1f", "#5b6470")
STYLE = BASE_STYLE | {
    "svg.hashsalt": "study",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "axes.titlesize": 9,
}


@dataclass(frozen=True)
class PlotSeries:
    """One curve, or the bars of one colour."""

    name: str
    positions: tuple[float | str, ...]
    values: tuple[float, ...]
    spreads: tuple[float, ...]
    """Half the height of the error bars."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    series: tuple[PlotSeries, ...]


def draw_figure(study: Study, plan: ExperimentPlan, values: Values) -> str:
    """Return a study's figure as SVG: a row of panels for each level, ours before the paper's."""
    import matplotlib
    from matplotlib.figure import Figure

    grid = [panels_of(study, plan, values, level) for level in plan.levels]
    across = max(map(len, grid))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * across, HEIGHT * len(grid) + 0.3), layout="constrained")
        figure.suptitle(study.title, fontsize=11, x=0.01, ha="left")
        for line, panels in enumerate(grid):
            for column, panel in enumerate(panels):
                axes = figure.add_subplot(len(grid), across, line * across + column + 1)
                _draw_panel(axes, panel, study)
                axes.set_xlabel(study.axis)
        return figure_svg(figure, facecolor="white")


def panels_of(study: Study, plan: ExperimentPlan, values: Values, level: Level) -> list[Panel]:
    """Return a level's panels: ours, by curve or by column, and the paper's if there are any."""
    suffix = f", {level}s" if len(plan.levels) > 1 else ""
    curves = dict.fromkeys(variant.curve for variant in study.all_variants)
    panels: list[Panel] = []
    measured = {
        column: {v.label: values[level, v.label, column, "ours"] for v in study.all_variants}
        for column in study_columns(plan, level)
    }
    if list(curves) == [""]:
        series = [_series(name, study, study.all_variants, row) for name, row in measured.items()]
        panels += _by_scale(f"ours{suffix}", series)
    else:
        for name, row in measured.items():
            lines = (
                _series(curve, study, [v for v in study.all_variants if v.curve == curve], row)
                for curve in curves
            )
            panels.append(Panel(f"ours{suffix}: {name}", tuple(lines)))
    published = [
        _series(title, study, study.all_variants, {k: Measured((v,)) for k, v in row.items()})
        for title, row in study.published_at(level).items()
    ]
    return [*panels, *_by_scale(f"the paper{suffix}", published)]


def _by_scale(title: str, series: Sequence[PlotSeries]) -> list[Panel]:
    """Return one panel for scores, which are at most 1, and one for other metrics."""
    drawn = [each for each in series if each.values]
    scores = tuple(each for each in drawn if max(map(abs, each.values)) <= 1)
    others = tuple(each for each in drawn if each not in scores)
    return [Panel(title, part) for part in (scores, others) if part]


def _series(
    name: str, study: Study, variants: Sequence[Variant], row: Mapping[str, Measured]
) -> PlotSeries:
    drawn = [(v, row[v.label]) for v in variants if v.label in row and row[v.label].values]
    positions = (v.label if study.figure == "bars" or v.x is None else v.x for v, _ in drawn)
    return PlotSeries(
        name,
        tuple(positions),
        tuple(measured.mean for _, measured in drawn),
        tuple(measured.spread for _, measured in drawn),
    )


def _draw_panel(axes: Axes, panel: Panel, study: Study) -> None:
    axes.set_title(panel.title, loc="left")
    if study.figure == "bars":
        _draw_bars(axes, panel)
    else:
        _draw_curves(axes, panel)
        if study.logarithmic:
            axes.set_xscale("log")
        _set_ticks(axes, panel)
    below = 0.28 if study.figure == "bars" else 0.2
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -below))


def _error_bars(series: PlotSeries) -> tuple[float, ...] | None:
    return series.spreads if any(series.spreads) else None


def _draw_curves(axes: Axes, panel: Panel) -> None:
    for number, series in enumerate(panel.series):
        axes.errorbar(
            [float(position) for position in series.positions],
            series.values,
            yerr=_error_bars(series),
            color=COLOURS[number % len(COLOURS)],
            marker="o",
            markersize=4,
            capsize=3,
            label=series.name,
        )


def _set_ticks(axes: Axes, panel: Panel) -> None:
    """Put ticks at the points only."""
    from matplotlib.ticker import NullLocator

    ticks = sorted({float(position) for series in panel.series for position in series.positions})
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_bars(axes: Axes, panel: Panel) -> None:
    labels = list(dict.fromkeys(str(p) for series in panel.series for p in series.positions))
    width = 0.8 / len(panel.series)
    for number, series in enumerate(panel.series):
        left = (number - (len(panel.series) - 1) / 2) * width
        axes.bar(
            [labels.index(str(position)) + left for position in series.positions],
            series.values,
            width,
            yerr=_error_bars(series),
            capsize=3,
            color=COLOURS[number % len(COLOURS)],
            label=series.name,
        )
    axes.set_xticks(range(len(labels)), [label.replace(", ", ",\n") for label in labels])
