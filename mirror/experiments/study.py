"""Studies: variants of a recipe's settings, declared in `studies/NAME.toml`.

Each variant is tuned with several seeds and scored. Values that the paper publishes for a variant
are shown next to ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mirror.config_base import Level, Name, Section, read_section
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
"""Benchmarks of a study that names none, by level."""
PAPER = "paper"
"""Name under which the paper's tables are run and reported, so no study may have it."""

Settings = Mapping[str, Any]
Varied = Annotated[Mapping[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class Variant(Section):
    """One combination of settings: a row of the study's table."""

    label: str
    x: float | None = None
    """Position on a numeric axis."""
    curve: str = ""
    """The curve that it belongs to, if there are several."""
    kind: Literal["tuned", "raw"] = "tuned"
    """raw: the base without tuning."""
    weights: Literal["base", "random"] = "base"
    """random: a randomly initialised model of the base's shape."""
    strings: Literal["recipe", "random"] = "recipe"
    """random: random letters and digits instead of the recipe's strings."""
    pooling: Pooling | None = None
    """Only for raw variants; None means the recipe's pooling."""
    sample: Settings = Field(default_factory=dict)
    """Changes to the recipe's `[sample]`."""
    tuning: Settings = Field(default_factory=dict)
    """Changes to the recipe's `[tuning]`."""

    @model_validator(mode="after")
    def _only_raw_variants_have_pooling(self) -> Self:
        if self.pooling and self.kind == "tuned":
            raise ValueError("`pooling` is for raw variants: move it into `tuning`")
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """Changes to the recipe by dotted key."""
        return {
            **{f"sample.{key}": value for key, value in self.sample.items()},
            **{f"tuning.{key}": value for key, value in self.tuning.items()},
        }


class PublishedSeries(Section):
    """A row or curve of the paper."""

    series: str
    """For example the base: `BERT`."""
    metric: str
    """For example `STS, mean of seven sets`."""
    level: Level = "sentence"
    values: Mapping[str, float]
    """By label of the variant."""

    @property
    def title(self) -> str:
        """For example `BERT, STS-B`."""
        return f"{self.series}, {self.metric}"


class Study(Section):
    """One study."""

    name: Name
    """The file's name without `.toml`."""
    title: str
    source: str = ""
    """Its place in the paper, for example `Table 13`; empty if it is not there."""
    finding: str
    """The paper's result in a sentence or two; ours if `source` is empty."""
    axis: str = ""
    """Name of the axis along which the variants differ, with its unit."""
    figure: Literal["curve", "bars"] = "curve"
    logarithmic: bool = False
    """Whether the axis is logarithmic."""
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    benchmarks: Mapping[Level, Annotated[list[Name], Field(min_length=1)]] = {}
    """By level; `STANDARD_BENCHMARKS` for the levels that are left out."""
    extra_metrics: Mapping[Name, list[str]] = Field(default_factory=dict)
    """By benchmark: metrics to show in addition to its score."""
    seeds: Seeds = (42, 33, 44)
    tuning: Settings = Field(default_factory=dict)
    """Changes to `[tuning]` of every variant."""
    vary: Mapping[Literal["sample", "tuning"], Varied] = {}
    """Short form of `variants`: the product of all values. The first setting is the axis; each
    combination of the others is a curve."""
    variants: tuple[Variant, ...] = ()
    published: tuple[PublishedSeries, ...] = ()

    @model_validator(mode="after")
    def _variants_and_values_fit(self) -> Self:
        if bool(self.vary) == bool(self.variants):
            raise ValueError("give either `vary` or `variants`")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds` has a seed twice, which would count it twice")
        labels = [variant.label for variant in self.all_variants]
        if twice := {label for label in labels if labels.count(label) > 1}:
            raise ValueError(f"two variants have the label {min(twice)!r}: rename one")
        for series in self.published:
            if unknown := set(series.values) - set(labels):
                raise ValueError(
                    f"published series {series.series} has a value for {min(unknown)!r}, but the "
                    f"variants are {', '.join(labels)}"
                )
            if series.level not in self.levels:
                raise ValueError(
                    f"published series {series.series} has level {series.level!r}, but the study's "
                    f"levels are {', '.join(self.levels)}"
                )
        if fixed := list(self._fixed_seeds()):
            raise ValueError(
                f"{' and '.join(fixed)} would have no effect, because every variant is tuned with "
                "each of `seeds`: remove it, and set `seeds` or use --seeds"
            )
        if self.figure == "curve" and any(variant.x is None for variant in self.all_variants):
            raise ValueError("a curve needs `x` for every variant: add it, or use figure = 'bars'")
        return self

    @property
    def all_variants(self) -> tuple[Variant, ...]:
        """The variants, with `vary` expanded."""
        return self.variants or tuple(self._expand_vary())

    def published_at(self, level: Level) -> dict[str, Mapping[str, float]]:
        """Return the paper's values at a level, by title of the series and label."""
        return {series.title: series.values for series in self.published if series.level == level}

    def _fixed_seeds(self) -> Iterator[str]:
        if "seed" in self.tuning:
            yield "`tuning.seed`"
        if "seed" in self.vary.get("tuning", {}):
            yield "`vary.tuning.seed`"
        for variant in self.variants:
            if "seed" in variant.tuning:
                yield f"`tuning.seed` of the variant {variant.label!r}"

    def _expand_vary(self) -> Iterator[Variant]:
        keys = [(section, key) for section, values in self.vary.items() for key in values]
        for values in product(*(self.vary[section][key] for section, key in keys)):
            changes: dict[str, dict[str, Any]] = {"sample": {}, "tuning": {}}
            for (section, key), value in zip(keys, values, strict=True):
                changes[section][key] = value
            first, *others = values
            curve = (
                f"{key.replace('_', ' ')} {setting_label(value)}"
                for (_, key), value in zip(keys[1:], others, strict=True)
            )
            is_number = isinstance(first, int | float) and not isinstance(first, bool)
            yield Variant(
                label=", ".join(map(setting_label, values)),
                x=float(first) if is_number else None,
                curve=", ".join(curve),
                sample=changes["sample"],
                tuning=changes["tuning"],
            )


def setting_label(value: Any) -> str:
    """Return a setting as a label: `2e-05`, `10,000`, `words`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def study_names(folder: Path = STUDIES) -> list[str]:
    """Return the names of the studies in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find_study(name: str, folder: Path = STUDIES) -> Study:
    """Return the study of that name in `folder`, or the study at a path that ends in `.toml`.

    Raises:
        StudyError: there is no such study, or it is invalid; all faults are listed.
    """
    if name.endswith(".toml"):
        return read_study(Path(name))
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise StudyError(f"{name!r} is not a study's name: use lower-case letters, digits, . _ -")
    return read_study(folder / f"{name}.toml")


def read_study(path: Path) -> Study:
    """Read a study and validate the settings of its variants as a recipe's."""
    if path.stem == PAPER:
        raise StudyError(
            f"{path}: a study cannot be called {PAPER!r}, because the report of the paper's tables "
            "is in the folder of that name: rename the file, or use --paper for the paper's tables"
        )
    if not path.exists():
        known = ", ".join(study_names(path.parent)) or "none"
        raise StudyError(f"no study at {path}: the studies there are {known}")
    study = read_section(path, Study, StudyError)
    if faults := [*_invalid_settings(study, path), *_invalid_metrics(study, path)]:
        raise StudyError("\n".join(faults))
    return study


def _invalid_settings(study: Study, path: Path) -> Iterator[str]:
    for level in study.levels:
        try:
            recipe = _example_recipe(level, study, path)
        except RecipeError as fault:
            yield str(fault)
            continue
        for variant in study.all_variants:
            try:
                with_changes(recipe, variant.changes, f"{path}, variant {variant.label!r}")
            except RecipeError as fault:
                yield str(fault)


def _invalid_metrics(study: Study, path: Path) -> Iterator[str]:
    benchmarks = {
        name
        for level in study.levels
        for name in study.benchmarks.get(level) or STANDARD_BENCHMARKS.get(level, ())
    }
    for benchmark, metrics in study.extra_metrics.items():
        if benchmark not in benchmarks:
            yield (
                f"{path}: `extra_metrics` names {benchmark!r}, but the study's benchmarks are "
                f"{', '.join(sorted(benchmarks)) or 'none'}: add it to `benchmarks`, or remove it"
            )
            continue
        try:
            known = read_definition(benchmark).extra_metric_names()
        except BenchmarkError as fault:
            yield f"{path}, `extra_metrics`: {fault}"
            continue
        remedy = f"choose from {', '.join(known)}" if known else "it has none: remove it"
        for metric in metrics:
            if metric not in known:
                yield f"{path}: {benchmark} has no metric {metric!r} for `extra_metrics`: {remedy}"


def _example_recipe(level: Level, study: Study, path: Path) -> Recipe:
    """Return a recipe of that level to validate settings with."""
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
    return parse_recipe(content, name="study", source=f"{path} at level {level}")
