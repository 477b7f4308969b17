"""Recipes: settings of one reproducible run, for one language or domain and one registered model.

Recipes are TOML, since YAML reads Norwegian's `no` as false.  They are strict: unknown keys, wrong
types and impossible combinations are errors before anything runs, and all are listed at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from mirror.config_base import (
    Address,
    Language,
    Level,
    Name,
    Positive,
    Precision,
    Section,
    describe_fault,
    read_toml,
)
from mirror.corpus_config import AnyCorpusSection, gives_documents
from mirror.drift_config import DriftSection
from mirror.errors import RecipeError
from mirror.paths import PAPER_RECIPES as PAPER_RECIPES
from mirror.paths import RECIPES as RECIPES
from mirror.paths import recipe_names as recipe_names
from mirror.paths import recipe_path
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_recipe_tuning

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = """`revision`, a commit's 40 hexadecimal digits, \
because a branch, a tag or a short commit may change its meaning"""


class SampleSection(Section):
    """The strings or documents that the encoder is tuned on."""

    size: Positive = 10_000
    """The number of strings; the paper found 10,000 to 20,000 best (Fig. 5).  For views of
    documents the most documents: all are taken if the corpus has fewer."""
    seed: int = 42
    stratify_by_source: bool = False
    """Draw the same number from each source, or all of a source that has fewer."""
    min_count: Positive = 1
    """word: leave out words seen less often."""


class BaseSection(Section):
    """The masked language model to start from: exactly one of `path`, `hub` and `registry`."""

    path: Address | None = None
    """A folder: relative to the checkout, the working folder or `~`, or absolute."""
    hub: str | None = None
    """A model's id on the Hugging Face Hub."""
    revision: str | None = None
    """hub: the full commit; required, so that the run can be repeated."""
    registry: Address | None = None
    """An MLflow model URI such as `models:/mirror-en-python-docs@champion`."""

    any_vocabulary: bool = False
    """Whether the base is tuned although its tokenizer knows hardly any of the text."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(value is not None for value in (self.path, self.hub, self.registry)) != 1:
            raise ValueError("name exactly one of `path`, `hub` and `registry`")
        if self.hub is not None and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError(f"`hub` needs {_REVISION}")
        if self.hub is None and self.revision:
            raise ValueError("`revision` goes with `hub` only")
        return self


class GateSection(Section):
    """The conditions for promotion to champion."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the bootstrap intervals.  1 minus it is the chance that an encoder in which nothing
    changed passes as an improvement, over all benchmarks."""
    least_gain: Annotated[float, Field(ge=0)] = 0.005
    """The least mean gain over the base, in score points (0 to 1), that is worth a new encoder."""
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    """How far a score may fall below the current champion's, in score points (0 to 1), although
    the interval of the difference is entirely below zero."""
    slice_tolerance: Annotated[float, Field(ge=0)] = 0.02
    """Likewise for slices of benchmarks with 50 items or more."""
    resamples: Positive = 1_000
    """Bootstrap resamples of each interval."""
    max_megabytes: Annotated[float, Field(gt=0)] | None = None
    """The largest size of the encoder's folder."""
    max_milliseconds: Annotated[float, Field(gt=0)] | None = None
    """The longest median time for one text on one thread of this machine's processor."""
    require_approval: bool = False
    """Whether an encoder that passes becomes champion only by `mirror promote`."""


class EvaluationSection(Section):
    """The benchmarks of the base and the tuned encoder, and the gate's conditions."""

    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of files in `benchmarks/`."""
    guard: Name | None = None
    """A general benchmark, such as `stsb`, on which tuning may cost little: it limits the share of
    tuned weights (`tuning.merge_shares`), and the gate refuses a larger loss."""
    guard_tolerance: Annotated[float, Field(ge=0)] = 0.01
    """How far the guard may fall below the base, in score points (0 to 1)."""
    random_control: bool = False
    """Whether random weights in the base's shape are tuned and scored as well: a benchmark on which
    they do well is like the pairs that are tuned on.  Doubles the time for tuning."""
    stored_as: Precision = "float32"
    """The numbers in which the encoder's users store vectors: the tuned encoder's are rounded so
    before they are scored, and the report shows what that costs."""
    gate: GateSection = GateSection()

    @property
    def scored(self) -> tuple[str, ...]:
        """Names of all benchmarks that encoders are scored on, the guard last."""
        guard = () if self.guard is None or self.guard in self.benchmarks else (self.guard,)
        return (*self.benchmarks, *guard)


class RegistrySection(Section):
    """The registered model that the encoder becomes a version of."""

    model: Name


class PairsSection(Section):
    """Labelled pairs of texts with the same meaning, instead of or in addition to the sample."""

    paths: Annotated[tuple[Address, ...], Field(min_length=1)]
    """TSV or JSONL files, found like `corpus.paths`."""
    first: str | int = "first"
    """The column with one text: its name, or its number from 0 in a TSV without a header."""
    second: str | int = "second"
    """The column with the other text."""
    with_strings: bool = True
    """Whether the sample's strings, each paired with itself, are also tuned on."""

    @model_validator(mode="after")
    def _one_way_of_naming(self) -> Self:
        if isinstance(self.first, int) != isinstance(self.second, int):
            raise ValueError("`first` and `second` must both be names or both be numbers")
        if self.first == self.second:
            raise ValueError("`first` and `second` are the same column: name two")
        if any(isinstance(column, int) and column < 0 for column in (self.first, self.second)):
            raise ValueError("`first` and `second` must not be negative: columns count from 0")
        return self


class Recipe(Section):
    """All settings of one run."""

    name: Name
    """The file's name without its ending."""
    language: Language
    """ISO 639 code."""
    domain: Name
    level: Level
    corpus: AnyCorpusSection
    sample: SampleSection = SampleSection()
    base: BaseSection
    tuning: TuningSection
    pairs: PairsSection | None = None
    """Labelled pairs; None if there are none."""
    drift: DriftSection = DriftSection()
    evaluation: EvaluationSection
    registry: RegistrySection
    _without_views: dict[str, Any] | None = PrivateAttr(None)
    _views_are_replaced: bool = PrivateAttr(False)

    @property
    def has_default_views(self) -> bool:
        """Whether `tuning.views` was left out, so that the corpus may still decide."""
        return self._without_views is not None

    @property
    def views_are_replaced(self) -> bool:
        """Whether identity pairs replaced crops, for which the corpus has too few documents."""
        return self._views_are_replaced

    def settled(self, content: dict[str, Any], source: str) -> Recipe:
        """Return the recipe with another content, which `source` names in errors."""
        recipe = parse_recipe(content, name=self.name, source=source)
        recipe._views_are_replaced = self._views_are_replaced
        return recipe

    def with_identity(self) -> Recipe:
        """Return the recipe as if it set `tuning.views`, which it left out, to identity."""
        content = dict(self._without_views or {})
        content["tuning"] = {**content.get("tuning", {}), "views": "identity"}
        tuning = parse_recipe(content, name=self.name, source=self.name).tuning
        recipe = self.model_copy(update={"tuning": tuning})
        recipe._without_views = None
        recipe._views_are_replaced = True
        return recipe

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.sample.size < self.tuning.batch_size:
            raise ValueError(
                f"sample.size {self.sample.size} is below tuning.batch_size "
                f"{self.tuning.batch_size}: there would not be one batch"
            )
        if self.tuning.uses_documents and (self.level == "word" or self.corpus.is_list):
            raise ValueError(
                f"tuning.views {', '.join(self.tuning.views)} are drawn from documents, and "
                "a list of words or lines has none: set tuning.views to 'identity'"
            )
        if self.corpus.keep_raw and self.sample.min_count > 1:
            raise ValueError(
                "`corpus.keep_raw` takes each line by itself: sample.min_count must be left out"
            )
        return self


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file; settings missing in `[tuning]` come from its level, mode and base.

    Raises:
        RecipeError: the file is missing, is not TOML, or has faults; all are listed.
    """
    if not path.exists():
        raise RecipeError(
            f"no file at {path}: correct the path, or give a name that `mirror recipes` lists"
        )
    content = read_toml(path, RecipeError)
    if "name" in content:
        raise RecipeError(
            f"{path} sets `name`: remove it; a recipe is named after its file, {path.stem!r}"
        )
    return parse_recipe(content, name=path.stem, source=str(path))


def parse_recipe(content: dict[str, Any], *, name: str, source: str) -> Recipe:
    """Validate a recipe's parsed content; errors name `source`.

    Without `tuning.views`, sentences of a corpus with documents are tuned on crops, unless the
    corpus turns out to have few of several sentences (`mirror.sampling.documents.settle_views`).

    Raises:
        RecipeError: the content has faults; all are listed.
    """
    filled = dict(content)
    filled.setdefault("name", name)
    filled.setdefault("base", {})
    tuning = filled.get("tuning", {})
    takes_crops = isinstance(tuning, dict) and _takes_crops(filled, tuning)
    if isinstance(tuning, dict):
        views = {"views": "crops"} if takes_crops else {}
        filled["tuning"] = fill_recipe_tuning(str(filled.get("level")), views | tuning)
    try:
        recipe = Recipe.model_validate(filled)
        if takes_crops:
            recipe._without_views = content
        return recipe
    except ValidationError as error:
        faults = error.errors()
        if any(fault["loc"] == ("level",) for fault in faults):
            # With a valid level these settings would have defaults.
            faults = [fault for fault in faults if not _follows_from_level(fault)]
        listed = "\n".join(map(describe_fault, faults))
        raise RecipeError(f"{source} has {len(faults)} fault(s):\n{listed}") from error


def _takes_crops(content: Mapping[str, Any], tuning: Mapping[str, Any]) -> bool:
    """Return whether a recipe that leaves out `tuning.views` is tuned on crops."""
    return (
        content.get("level") == "sentence"
        and "views" not in tuning
        and tuning.get("mode", "default") == "default"
        and gives_documents(content.get("corpus"))
    )


def _follows_from_level(fault: ErrorDetails) -> bool:
    return fault["type"] == "missing" and fault["loc"][0] == "tuning"


def find_recipe(name: str, folder: Path = RECIPES) -> Recipe:
    """Return the recipe with a name in `folder` or its `paper`, or at the path of a `.toml` file.

    Raises:
        RecipeError: there is no such recipe, or it has faults; all are listed.
    """
    return read_recipe(recipe_path(name, folder))
