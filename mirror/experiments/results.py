"""What a study came to: scores over seeds beside the paper's, as JSON and as a table."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from mirror.config_base import Level
from mirror.corpus_config import find_source
from mirror.errors import StoreError
from mirror.experiments.plan import StudyPlan, VariantRuns
from mirror.experiments.study import Study
from mirror.experiments.trial import TrialResult
from mirror.provenance import git_commit, library_versions
from mirror.rendering import cell

LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Row:
    """One point at one level."""

    level: Level
    label: str
    x: float | None
    line: str
    scores: Mapping[str, tuple[float, ...]]
    """By measure, one for each seed that ended."""
    seconds: float
    """What tuning took when it was made, mean over seeds; 0 for a raw encoder."""
    paper: Mapping[str, float]
    """By series and measure, such as `BERT, STS-B`."""
    fault: str = ""
    """Why a trial gave no score."""


@dataclass(frozen=True)
class StudyOutcome:
    """A study's rows, and what they were made with."""

    name: str
    title: str
    source: str
    found: str
    axis: str
    figure: Literal["curve", "bars"]
    logarithmic: bool
    bases: Mapping[str, str]
    """Origin and digest of each level's."""
    strings: Mapping[str, str]
    """What each level was tuned on."""
    seeds: tuple[int, ...]
    commit: str
    versions: Mapping[str, str]
    machine: str
    rows: tuple[Row, ...]

    def levels(self) -> tuple[Level, ...]:
        """Levels in their order."""
        return tuple(dict.fromkeys(row.level for row in self.rows))

    def at(self, level: Level) -> tuple[Row, ...]:
        """The rows of a level."""
        return tuple(row for row in self.rows if row.level == level)


def conclude(
    plan: StudyPlan, results: Sequence[TrialResult], faults: Mapping[tuple[str, int], str]
) -> StudyOutcome:
    """Gathers results by point.

    Args:
        plan: the study as it was laid out.
        results: of its trials, in any order.
        faults: by label and seed of a trial, why it has no result.
    """
    by_trial = {(result.label, result.seed): result for result in results}
    study = plan.study
    return StudyOutcome(
        name=study.name,
        title=study.title,
        source=study.source,
        found=" ".join(study.found.split()),
        axis=study.axis,
        figure=study.figure,
        logarithmic=study.logarithmic,
        bases={
            level: f"{_short(base.origin)} ({base.digest[:12]})"
            for level, base in plan.bases.items()
        },
        strings={level: _strings_of(plan, level) for level in plan.bases},
        seeds=plan.seeds,
        commit=git_commit(),
        versions=library_versions(LIBRARIES),
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        rows=tuple(_row(study, case, by_trial, faults) for case in plan.cases),
    )


def _short(origin: str) -> str:
    """A base's origin, without the folders of this machine."""
    return Path(origin).name if Path(origin).is_absolute() else origin


def _strings_of(plan: StudyPlan, level: Level) -> str:
    """How many strings of what a level is tuned on: `10,000 sentences of text.parquet`."""
    recipes = [
        trial.recipe
        for case in plan.cases
        if case.level == level and case.point.strings == "own"
        for trial in case.trials
    ]
    sizes = sorted({recipe.sample.size for recipe in recipes})
    count = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    corpus = recipes[0].corpus
    label = find_source(corpus.source).label(corpus)
    return f"{count} {level}s of {label or corpus.source}"


def _row(
    study: Study,
    case: VariantRuns,
    by_trial: Mapping[tuple[str, int], TrialResult],
    faults: Mapping[tuple[str, int], str],
) -> Row:
    keys = [(trial.label, trial.seed) for trial in case.trials]
    found = [by_trial[key] for key in keys if key in by_trial]
    seen = [_scores(study, result) for result in found]
    names = list(seen[0]) if seen else []
    label = case.point.label
    return Row(
        level=case.level,
        label=label,
        x=case.point.x,
        line=case.point.line,
        scores={name: tuple(each[name] for each in seen) for name in names},
        seconds=fmean(result.tuning_seconds for result in found) if found else 0.0,
        paper={
            f"{printed.series}, {printed.measure}": printed.values[label]
            for printed in study.paper
            if printed.level == case.level and label in printed.values
        },
        fault="; ".join(dict.fromkeys(faults[key] for key in keys if key in faults)),
    )


def _scores(study: Study, result: TrialResult) -> dict[str, float]:
    """By measure, a benchmark's further ones named after it."""
    scores: dict[str, float] = {}
    for name, value in result.scores.items():
        scores[name] = value
        for measure in study.extra_metrics.get(name, ()):
            scores[f"{name}: {measure}"] = float(result.details[name]["extra_metrics"][measure])
    return scores


def measures(rows: Sequence[Row]) -> list[str]:
    """What was measured, in its order."""
    return list(dict.fromkeys(name for row in rows for name in row.scores))


def printed_series(rows: Sequence[Row]) -> list[str]:
    """What the paper prints, in its order."""
    return list(dict.fromkeys(name for row in rows for name in row.paper))


def spread(values: Sequence[float]) -> float:
    """Standard deviation over seeds; 0 of one."""
    return stdev(values) if len(values) > 1 else 0.0


def mean_and_spread(values: Sequence[float]) -> str:
    """`.742 ± .002` over seeds; an en dash for nothing."""
    if not values:
        return "–"
    shown = number(fmean(values))
    return f"{shown} ± {number(stdev(values))}" if len(values) > 1 else shown


def number(value: float) -> str:
    """Three places and no zero before the point, or two places from 1 on."""
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}".replace("0.", ".", 1).replace("-", "\N{MINUS SIGN}")


def table_cells(rows: Sequence[Row], axis: str) -> Iterator[list[str]]:
    """A level's table, its head first: ours, then the paper's."""
    ours, theirs = measures(rows), printed_series(rows)
    faulty = any(row.fault for row in rows)
    lines = any(row.line for row in rows)
    yield [
        *([axis, ""] if lines else [axis or "point"]),
        *ours,
        *(f"paper: {name}" for name in theirs),
        *(["no score, because"] if faulty else []),
    ]
    for row in rows:
        place = [row.label.split(", ")[0], row.line] if lines else [row.label]
        yield [
            *place,
            *(mean_and_spread(row.scores.get(name, ())) for name in ours),
            *(number(row.paper[name]) if name in row.paper else "" for name in theirs),
            *([row.fault] if faulty else []),
        ]


def markdown(outcome: StudyOutcome) -> str:
    """The whole outcome as Markdown, with the figure by its file's name."""
    parts = [f"# {cell(outcome.title)}", cell(in_the_paper(outcome))]
    for level in outcome.levels():
        if len(outcome.levels()) > 1:
            parts.append(f"## {level.capitalize()}s")
        head, *body = (
            [cell(text) for text in cells] for cells in table_cells(outcome.at(level), outcome.axis)
        )
        lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts += ["![Ours and the paper's](figure.svg)", setting(outcome)]
    return "\n\n".join(parts) + "\n"


def in_the_paper(outcome: StudyOutcome) -> str:
    """Where the paper has it, and what it found."""
    return f"In the paper: {outcome.source}. {outcome.found}"


def setting(outcome: StudyOutcome) -> str:
    """What the numbers were measured with, in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in outcome.versions.items())
    seeds = ", ".join(map(str, outcome.seeds))
    bases = ", ".join(dict.fromkeys(outcome.bases.values()))
    strings = "; ".join(outcome.strings.values())
    return (
        f"Base {bases}; {strings}; means and standard deviations over "
        f"seeds {seeds}; {versions}; {outcome.machine}; commit {outcome.commit[:12]}."
    )


def write_outcome(outcome: StudyOutcome, figure: str, folder: Path) -> None:
    """Writes `results.json`, `table.md` and `figure.svg`, each whole or not at all.

    Raises:
        StoreError: the folder cannot be written.
    """
    content: dict[str, Any] = asdict(outcome)
    files = {
        "results.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        "table.md": markdown(outcome),
        "figure.svg": figure,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            part = folder / f"{name}.part"
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
    except OSError as error:
        raise StoreError(
            f"the study's results cannot be written into {folder} ({error.strerror}): free or "
            "allow the folder, or set MIRROR_HOME to another, and run again; no trial is lost"
        ) from error
