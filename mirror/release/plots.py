"""Plots as SVG: one style, one writer, and the report's plots.

The same numbers give the same bytes: no date, no random ids.  The report's plots take their colours
from the page, so that they suit light and dark pages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIBRARIES = ("matplotlib",)
INCHES = (4.7, 2.7)
"""Small, so that text is legible on a phone."""
MOST_POINTS = 400
INK, GRID, BEFORE, AFTER = "#010101", "#020202", "#030303", "#040404"
PAGE_COLOURS = {
    INK: "var(--soft)",
    GRID: "var(--line)",
    BEFORE: "var(--before)",
    AFTER: "var(--after)",
}
BASE_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a title with two dollar signs is not a formula
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
}
"""The style of all figures; `svg.hashsalt` must be added."""
STYLE: dict[Any, Any] = {
    **BASE_STYLE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.left": False,
    "grid.color": GRID,
    "axes.unicode_minus": True,
}


def figure_svg(figure: Figure, **options: Any) -> str:
    """Return a figure as SVG without date, metadata, DOCTYPE and trailing spaces.

    Args:
        figure: drawn within `matplotlib.rc_context({**BASE_STYLE, "svg.hashsalt": ...})`.
        options: of `Figure.savefig`.
    """
    file = io.StringIO()
    metadata: dict[Any, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(file, format="svg", metadata=metadata, **options)
    svg = re.sub(
        r"<!DOCTYPE[^>]*>\s*|\s*<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL
    )
    return re.sub(r" +$", "", svg, flags=re.MULTILINE)


def plot_losses(losses: Sequence[float]) -> str:
    """Return a plot of the loss of each step with its running mean."""
    steps, means = _thinned(losses)
    with _Plot("losses") as plot:
        plot.axes.plot(steps, means, color=AFTER, alpha=0.3, linewidth=1)
        plot.axes.plot(steps, _running_mean(means), color=AFTER, linewidth=2)
        plot.axes.set_xlabel("step")
        plot.axes.set_ylabel("loss")
        plot.axes.margins(x=0.01)
    return plot.svg


Histogram = tuple[Sequence[float], Sequence[int]]
"""Edges of the bins, and counts."""


def plot_cosines(before: Histogram, after: Histogram) -> str:
    """Return a histogram of the cosines of random pairs, for both encoders."""
    with _Plot("cosines") as plot:
        for (edges, counts), colour in ((before, BEFORE), (after, AFTER)):
            shares = [100 * count / max(1, sum(counts)) for count in counts]
            plot.axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35, linewidth=0)
            plot.axes.stairs(shares, edges, color=colour, linewidth=1.6)
        plot.axes.set_xlabel("cosine of two random strings")
        plot.axes.set_ylabel("% of pairs")
        plot.axes.set_xlim(*_span([before, after]))
    return plot.svg


def plot_lengths(buckets: Sequence[Sequence[int]]) -> str:
    """Return a histogram of string lengths; `buckets` are (lowest length, strings), ascending."""
    lows = [low for low, _ in buckets]
    widths = [high - low for low, high in pairwise(lows)]
    widths.append(widths[-1] if widths else 1)
    with _Plot("lengths") as plot:
        plot.axes.bar(
            lows, [count for _, count in buckets], widths, align="edge", color=AFTER, alpha=0.75
        )
        plot.axes.set_xlabel("characters")
        plot.axes.set_ylabel("strings")
    return plot.svg


class _Plot:
    """Context manager of one plot: draw on `axes` in the block, then read `svg`."""

    axes: Axes
    svg: str

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> _Plot:
        import matplotlib
        from matplotlib.figure import Figure

        self._style = matplotlib.rc_context({**STYLE, "svg.hashsalt": self._name})
        self._style.__enter__()
        self._figure: Figure = Figure(figsize=INCHES, layout="constrained")
        self.axes = self._figure.add_subplot()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self.svg = _page_svg(self._figure, self._name)
        finally:
            self._style.__exit__(None, None, None)


def _page_svg(figure: Figure, name: str) -> str:
    svg = figure_svg(figure, transparent=True)
    svg = svg[svg.index("<svg") :]
    # HTML needs no namespaces; without their URLs the page shows that it makes no requests.
    svg = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # Plots number their groups alike, and ids must be unique in a page.
    svg = re.sub(r'<g id="([^"]+)"', rf'<g id="{name}-\1"', svg)
    for drawn, colour in PAGE_COLOURS.items():
        svg = svg.replace(drawn, colour)
    return svg


def _thinned(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return steps, counted from 1, and values; means of neighbours if there are too many."""
    size = -(-len(values) // MOST_POINTS)
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    steps = [index * size + (len(group) + 1) / 2 for index, group in enumerate(groups)]
    return steps, [sum(group) / len(group) for group in groups]


def _running_mean(values: Sequence[float]) -> list[float]:
    reach = max(1, len(values) // 20)
    windows = (values[max(0, index - reach) : index + reach + 1] for index in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _span(histograms: Iterable[Histogram]) -> tuple[float, float]:
    """Return the ends of the range of nonempty bins."""
    nonempty = [
        edge
        for edges, counts in histograms
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
        if count
        for edge in (low, high)
    ]
    return (min(nonempty), max(nonempty)) if nonempty else (-1.0, 1.0)
