"""Studies: the paper's analyses, declared in `studies/NAME.toml`.

A study is a list of points: each is a recipe's settings under other values, tuned with several
seeds and scored.  Beside it stand the paper's own numbers, where the paper gives them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mirror.config_base import Level, Name, Section, list_faults
from mirror.errors import BenchmarkError, RecipeError, StudyError
from mirror.evaluation.benchmark import read_definition
from mirror.experiments.trial import with_changes
from mirror.paths import CHECKOUT
from mirror.recipe import Recipe, parse_recipe
from mirror.tuning_config import Pooling

STUDIES = CHECKOUT / "studies"
STANDARD_BENCHMARKS: dict[str, tuple[str, ...]] = {
    "sentence": ("stsb-dev", "stsb"),
    "word": ("multisimlex-en",),
}
"""By level, what a study is measured on that names nothing else."""

Settings = Mapping[str, Any]
Varied = Annotated[Mapping[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class Variant(Section):
    """One place on a study's axis."""

    label: str
    x: float | None = None
    """Where it is on an axis of numbers."""
    line: str = ""
    """The curve it belongs to, where there are several."""
    kind: Literal["tuned", "raw"] = "tuned"
    """raw: the base as it is."""
    weights: Literal["base", "random"] = "base"
    """random: a model of the base's shape that has learned nothing."""
    strings: Literal["own", "random"] = "own"
    """random: letters and digits in place of the recipe's strings."""
    pooling: Pooling | None = None
    """raw: nothing means as the recipe tunes."""
    sample: Settings = Field(default_factory=dict)
    """What differs in a recipe's `[sample]`."""
    tuning: Settings = Field(default_factory=dict)
    """What differs in a recipe's `[tuning]`."""

    @model_validator(mode="after")
    def _pooled_as_tuned(self) -> Self:
        if self.pooling and self.kind == "tuned":
            raise ValueError("`pooling` is a raw point's: a tuned one has it in `tuning`")
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """What differs, by a recipe's dotted keys."""
        return {
            **{f"sample.{key}": value for key, value in self.sample.items()},
            **{f"tuning.{key}": value for key, value in self.tuning.items()},
        }


class PublishedSeries(Section):
    """A row or curve that the paper prints."""

    series: str
    """For example the base: `BERT`."""
    measure: str
    """What was measured, for example `STS, mean of seven sets`."""
    level: Level = "sentence"
    values: Mapping[str, float]
    """By the label of the point."""


class Study(Section):
    """One study."""

    name: Name
    """Its file's name without the ending."""
    title: str
    source: str
    """Where it is in the paper, for example `Table 13`."""
    found: str
    """What the paper found, in a sentence or two."""
    axis: str = ""
    """What the points differ in; the axis' name, with its unit."""
    figure: Literal["curve", "bars"] = "curve"
    logarithmic: bool = False
    """Whether the axis is."""
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    benchmarks: Mapping[Level, Annotated[list[Name], Field(min_length=1)]] = {}
    """By level; what is left out is measured on `STANDARD_BENCHMARKS`."""
    extra_metrics: Mapping[Name, list[str]] = Field(default_factory=dict)
    """By benchmark, which of its further measures are shown beside its score."""
    seeds: Seeds = (42, 33, 44)
    tuning: Settings = Field(default_factory=dict)
    """Of every point."""
    vary: Mapping[Literal["sample", "tuning"], Varied] = {}
    """Points in short: the product of all values; the first is the axis, the others its curves."""
    points: tuple[Variant, ...] = ()
    paper: tuple[PublishedSeries, ...] = ()

    @model_validator(mode="after")
    def _points_and_numbers_fit(self) -> Self:
        if bool(self.vary) == bool(self.points):
            raise ValueError("give either `vary` or `points`")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds` names one twice, which would count it twice")
        labels = [point.label for point in self.all_points]
        if twice := {label for label in labels if labels.count(label) > 1}:
            raise ValueError(f"two points are called {min(twice)!r}: give each its own label")
        for printed in self.paper:
            if unknown := set(printed.values) - set(labels):
                raise ValueError(
                    f"the paper's {printed.series} has a value for {min(unknown)!r}, and the "
                    f"points are {', '.join(labels)}"
                )
            if printed.level not in self.levels:
                raise ValueError(f"the paper's {printed.series} is of level {printed.level!r}")
        if places := list(self._fixed_seeds()):
            raise ValueError(
                f"{' and '.join(places)} would do nothing, for a trial is made with each of "
                "`seeds`: leave it out, and name seeds in `seeds` or with --seeds"
            )
        if self.figure == "curve" and any(point.x is None for point in self.all_points):
            raise ValueError("a curve needs `x` at every point: add it, or take figure = 'bars'")
        return self

    @property
    def all_points(self) -> tuple[Variant, ...]:
        """The points, written out."""
        return self.points or tuple(self._varied())

    def _fixed_seeds(self) -> Iterator[str]:
        """Where the study names a seed of tuning."""
        if "seed" in self.tuning:
            yield "`tuning.seed`"
        if "seed" in self.vary.get("tuning", {}):
            yield "`vary.tuning.seed`"
        for point in self.points:
            if "seed" in point.tuning:
                yield f"`tuning.seed` of the point {point.label!r}"

    def _varied(self) -> Iterator[Variant]:
        keys = [(part, key) for part, held in self.vary.items() for key in held]
        for values in product(*(self.vary[part][key] for part, key in keys)):
            changes: dict[str, dict[str, Any]] = {"sample": {}, "tuning": {}}
            for (part, key), value in zip(keys, values, strict=True):
                changes[part][key] = value
            first, *others = values
            names = (
                f"{key.replace('_', ' ')} {shown(value)}"
                for (_, key), value in zip(keys[1:], others, strict=True)
            )
            yield Variant(
                label=", ".join(map(shown, values)),
                x=float(first) if _is_number(first) else None,
                line=", ".join(names),
                sample=changes["sample"],
                tuning=changes["tuning"],
            )


def shown(value: Any) -> str:
    """A setting as a label: `2e-05`, `10,000`, `words`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def study_names(folder: Path = STUDIES) -> list[str]:
    """Names of the studies in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find_study(name: str, folder: Path = STUDIES) -> Study:
    """The study of that name in `folder`, or at that path if it ends in `.toml`.

    Raises:
        StudyError: there is none, or it has faults; all are listed.
    """
    if name.endswith(".toml"):
        return read_study(Path(name))
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise StudyError(f"{name!r} is no study's name: use lower-case letters, digits, . _ -")
    return read_study(folder / f"{name}.toml")


def read_study(path: Path) -> Study:
    """Reads a study and checks the settings of its points as a recipe's.

    Raises:
        StudyError: the file is missing, is not TOML, or has faults; all are listed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(study_names(path.parent)) or "none"
        raise StudyError(f"no study at {path}: studies there are {known}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyError(f"{path} cannot be read as TOML: {error}") from error
    try:
        study = Study.model_validate({**content, "name": path.stem})
    except ValidationError as error:
        raise StudyError(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error
    faults = [*_faulty_settings(study, path), *_faulty_measures(study, path)]
    if faults:
        raise StudyError("\n".join(faults))
    return study


def _faulty_settings(study: Study, path: Path) -> Iterator[str]:
    for level in study.levels:
        try:
            recipe = _example_recipe(level, study, path)
        except RecipeError as fault:
            yield str(fault)
            continue
        for point in study.all_points:
            try:
                with_changes(recipe, point.changes, place=f"{path}, point {point.label!r}")
            except RecipeError as fault:
                yield str(fault)


def _faulty_measures(study: Study, path: Path) -> Iterator[str]:
    """Measures that would be found missing when all encoders are scored, or never shown."""
    chosen = [study.benchmarks.get(level) for level in study.levels]
    standard = [STANDARD_BENCHMARKS.get(level, ()) for level in study.levels]
    measured = {name for own, ours in zip(chosen, standard, strict=True) for name in own or ours}
    for name, wanted in study.extra_metrics.items():
        if name not in measured:
            yield (
                f"{path}: `extra_metrics` names {name!r}, which is none of the study's benchmarks "
                f"({', '.join(sorted(measured)) or 'it names none'}): add it to `benchmarks`, or "
                "leave its measures out"
            )
            continue
        try:
            known = read_definition(name).extra_metric_names()
        except BenchmarkError as fault:
            yield f"{path}, `extra_metrics`: {fault}"
            continue
        remedy = f"choose from {', '.join(known)}" if known else "it has none: leave it out"
        for measure in wanted:
            if measure not in known:
                yield f"{path}: `extra_metrics` names {measure!r}, which {name} lacks; {remedy}"


def _example_recipe(level: Level, study: Study, path: Path) -> Recipe:
    """Some recipe of that level, for its settings to be tried on."""
    content = {
        "language": "en",
        "domain": "study",
        "level": level,
        "corpus": {"source": "docstrings"},
        "base": {"path": "none"},
        "tuning": dict(study.tuning),
        "evaluation": {"benchmarks": ["none"]},
        "registry": {"model": "none"},
    }
    return parse_recipe(content, name="study", place=f"{path} at level {level}")
