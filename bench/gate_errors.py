"""False promotions and power of the gate: simulated encoders on real items, judged as in a run.

    python -m bench.gate_errors BASE TUNED --runs 500 --plot docs/gate.svg

BASE and TUNED are folders of finished evaluations in a workspace, `stages/evaluation/KEY`.  The
items are the queries of their benchmarks without labels, each with its reciprocal rank.  In a run
where nothing changed, the two values of each query are exchanged at random.  In a run with a true
gain, the changes of queries are drawn from those of the real run, moved to a mean of the gain.  At
chance, the ranks of both encoders are random.  For comparison there is the rule "the mean is above
zero, and one benchmark's 95 % bootstrap interval too".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench.measuring import progress_bar
from bench.quality import SHIPPED
from mirror.evaluation.bootstrap import mean_interval, score_low
from mirror.evaluation.metrics import Floats, Predictions, chance_rank, reciprocal_ranks
from mirror.evaluation.score_change import ScoreChange
from mirror.evaluation.significance import improvement_p_value, items_that_differ
from mirror.recipe import GateSection, Recipe, find_recipe
from mirror.release.gate import GateInput, decide
from mirror.release.plots import BASE_STYLE, INCHES, figure_svg
from mirror.rendering import markdown_table

Pair = tuple[Floats, Floats]
Draw = Callable[[np.random.Generator, Pair], Pair]
GAINS = (0.005, 0.01, 0.02, 0.03, 0.05)
GATE = GateSection()
AT_CHANCE = "both at chance"


def unchanged(generator: np.random.Generator, pair: Pair) -> Pair:
    """Return the pair with each query's two values exchanged at random."""
    exchanged = generator.integers(0, 2, len(pair[0])).astype(bool)
    before, after = pair
    return np.where(exchanged, after, before), np.where(exchanged, before, after)


def at_chance(generator: np.random.Generator, pair: Pair) -> Pair:
    """Return the reciprocal ranks of two encoders of random vectors."""
    first, second = (
        reciprocal_ranks(generator.normal(size=(len(pair[0]), len(pair[0])))) for _ in range(2)
    )
    return first, second


def with_gain(gain: float, generator: np.random.Generator, pair: Pair) -> Pair:
    """Return changes drawn from the real ones, with another true mean."""
    changes = pair[1] - pair[0]
    drawn = generator.choice(changes - changes.mean() + gain, len(changes))
    return pair[0], pair[0] + drawn


def change_of(name: str, pair: Pair, gate: GateSection = GATE) -> ScoreChange:
    """Return a change as the comparison of two evaluations makes it."""
    first, second = (Predictions(("",) * len(values), values) for values in pair)
    before, after = (float(values.mean()) for values in pair)
    resamples, confidence = gate.resamples, gate.confidence
    estimate = mean_interval(pair[1] - pair[0], resamples=resamples, confidence=confidence)
    parts = [(first, second)]
    return ScoreChange(
        name,
        "mrr@10",
        len(pair[0]),
        before,
        after,
        after - before,
        estimate.low,
        estimate.high,
        p=improvement_p_value(parts, resamples),
        differing=items_that_differ(parts),
        chance=chance_rank(len(pair[0])),
        after_low=score_low([second], resamples=resamples, confidence=confidence),
    )


def promoted(changes: tuple[ScoreChange, ...], recipe: Recipe) -> tuple[bool, bool]:
    """Return whether the gate promotes, and whether the older rule would have."""
    verdict = decide(recipe, GateInput(changes))
    mean = np.mean([change.change for change in changes])
    fine = not any(change.high < 0 and change.change < -0.01 for change in changes)
    return verdict.promote, bool(mean > 0 and fine and any(change.low > 0 for change in changes))


def read_pairs(base: Path, tuned: Path) -> dict[str, Pair]:
    """Return both encoders' reciprocal ranks on each retrieval benchmark."""
    pairs = {}
    for path in sorted((base / "predictions").glob("*-retrieval.parquet")):
        before, after = (
            pq.read_table(folder / "predictions" / path.name)["predicted"].to_numpy()
            for folder in (base, tuned)
        )
        pairs[path.stem] = (before, after)
    return pairs


def power_plot(power: Mapping[int, Sequence[float]]) -> str:
    """Return an SVG: share of promoted encoders by true gain, a line per number of benchmarks."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**BASE_STYLE, "svg.hashsalt": "gate"}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        for (count, shares), style in zip(power.items(), ("o--", "o-"), strict=False):
            percent = [100 * share for share in shares]
            axes.plot((0, *GAINS), percent, style, label=f"{count} benchmark{'s'[: count - 1]}")
        axes.axhline(5, color="0.6", linewidth=1)
        axes.annotate("5 %", (max(GAINS), 6), ha="right", color="0.4")
        axes.set(xlabel="true gain in MRR@10", ylabel="promoted, % of runs", ylim=(0, 104))
        axes.legend(frameon=False)
        return figure_svg(figure)


def main() -> None:
    """Print the share of promoted encoders, scenario by scenario."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path)
    parser.add_argument("tuned", type=Path)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--plot", type=Path, help="an SVG of the gate's power, from 0 gain on")
    arguments = parser.parse_args()
    recipe = find_recipe(SHIPPED)
    pairs = read_pairs(arguments.base, arguments.tuned)
    scenarios: dict[str, Draw] = {"nothing changed": unchanged, AT_CHANCE: at_chance}
    scenarios |= {f"a true gain of {gain}": partial(with_gain, gain) for gain in GAINS}
    cases = [(title, count) for title in scenarios for count in (1, len(pairs))]
    rows = []
    power: dict[int, list[float]] = {}
    with progress_bar(len(cases)) as progress:
        for title, count in cases:
            progress.update(progress.task_ids[0], description=title)
            results = [
                promoted(_changes(scenarios[title], pairs, count, arguments.seed, run), recipe)
                for run in range(arguments.runs)
            ]
            means = np.mean(results, axis=0)
            rows.append([title, str(count), *(f"{share:.1%}" for share in means)])
            if title != AT_CHANCE:
                power.setdefault(count, []).append(float(means[0]))
            progress.advance(progress.task_ids[0])
    print(markdown_table(["", "benchmarks", "promoted", "by the older rule"], rows))
    if arguments.plot:
        arguments.plot.write_text(power_plot(power), encoding="utf-8")


def _changes(
    draw: Draw, pairs: dict[str, Pair], count: int, seed: int, run: int
) -> tuple[ScoreChange, ...]:
    generator = np.random.default_rng([seed, run])
    return tuple(
        change_of(name, draw(generator, pair)) for name, pair in list(pairs.items())[:count]
    )


if __name__ == "__main__":
    main()
