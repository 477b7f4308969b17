"""A recipe: one language or domain, one reproducible run, one registered model.

Recipes are TOML (YAML reads Norwegian's `no` as false).  They are strict: an unknown key, a wrong
type or an impossible combination is refused before anything runs, all faults at once.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from mirror.config_base import Address, Language, Level, Name, Positive, Section, tell_fault
from mirror.corpus_config import AnyCorpusSection
from mirror.errors import RecipeError
from mirror.paths import PAPER_RECIPES as PAPER_RECIPES
from mirror.paths import RECIPES as RECIPES
from mirror.paths import recipe_names as recipe_names
from mirror.paths import recipe_path
from mirror.tuning_config import TuningSection, fill_tuning

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = """`revision`, a commit's 40 hexadecimal digits: \
what a branch, a tag or a short commit means may change"""


class SampleSection(Section):
    """Which strings the encoder is tuned on."""

    size: Positive = 10_000
    """How many strings; the paper found 10,000 to 20,000 best (Fig. 5)."""
    seed: int = 42
    stratify_by_source: bool = False
    """The same number from each source, as far as it goes."""
    min_count: Positive = 1
    """word: leave out words seen less often."""


class BaseSection(Section):
    """The masked language model to start from: exactly one of `path`, `hub` and `registry`."""

    path: Address | None = None
    """A folder: from the checkout, from the working folder, from `~`, or absolute."""
    hub: str | None = None
    revision: str | None = None
    """hub: the commit, in full; required, or a run could not be repeated."""
    registry: Address | None = None
    """An MLflow model URI such as `models:/mirror-en-python-docs@champion`."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.hub, self.registry)) != 1:
            raise ValueError("name exactly one of `path`, `hub` and `registry`")
        if self.hub is not None and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError(f"`hub` needs {_REVISION}")
        if self.hub is None and self.revision:
            raise ValueError("`revision` goes with `hub` only")
        return self


class GateSection(Section):
    """What an encoder must show to become champion."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the bootstrap intervals."""
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    """How far below today's champion a score may fall before it counts as worse, in score points
    (0 to 1), when the interval of the difference lies wholly below zero."""
    slice_tolerance: Annotated[float, Field(ge=0)] = 0.02
    """Likewise for the parts that benchmarks fall into, of 50 items or more."""
    resamples: Positive = 1_000
    max_megabytes: Annotated[float, Field(gt=0)] | None = None
    """The most that the encoder's folder may take."""
    max_milliseconds: Annotated[float, Field(gt=0)] | None = None
    """The most that one text may take on one thread of this machine's processor, by median."""
    require_approval: bool = False
    """Whether a person must say `mirror promote` before an encoder that passes is champion."""


class EvaluationSection(Section):
    """What base and tuned encoder are measured on."""

    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of files in `benchmarks/`."""
    gate: GateSection = GateSection()


class DriftSection(Section):
    """How much a corpus must differ from the champion's before a scheduled run goes on.

    Any one is enough; see `mirror.corpus.drift`.
    """

    new_strings: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of strings that the champion's corpus lacks."""
    divergence: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Jensen-Shannon divergence of the word pieces, in bits."""
    unknown: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Rise of the share of pieces that the base's vocabulary does not have."""
    pieces_per_word: Annotated[float, Field(ge=0)] = 0.05
    """Rise of the pieces for a word, as a share of what they were."""
    lengths: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Kolmogorov-Smirnov distance of the strings' lengths."""


class RegistrySection(Section):
    """Where the encoder is registered."""

    model: Name


class PairsSection(Section):
    """Pairs of texts that mean the same, in place of or beside strings paired with themselves."""

    paths: Annotated[tuple[Address, ...], Field(min_length=1)]
    """TSV or JSONL files, found as `corpus.paths` are."""
    first: str | int = "first"
    """The column with one text: its name, or its number from 0 in a TSV without a header."""
    second: str | int = "second"
    """The column with the other."""
    with_strings: bool = True
    """Whether the sample's strings, each paired with itself, are tuned on too."""

    @model_validator(mode="after")
    def _one_way_of_naming(self) -> Self:
        if isinstance(self.first, int) != isinstance(self.second, int):
            raise ValueError("`first` and `second` must both be names or both be numbers")
        if self.first == self.second:
            raise ValueError("`first` and `second` are the same column: name two")
        if any(isinstance(column, int) and column < 0 for column in (self.first, self.second)):
            raise ValueError("columns are counted from 0: `first` and `second` may not be below")
        return self


class Recipe(Section):
    """One run, whole."""

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
    """Labelled pairs, where there are any."""
    drift: DriftSection = DriftSection()
    evaluation: EvaluationSection
    registry: RegistrySection

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.sample.size < self.tuning.batch_size:
            raise ValueError(
                f"sample.size {self.sample.size} is below tuning.batch_size "
                f"{self.tuning.batch_size}: there would not be one batch"
            )
        if self.corpus.keep_raw and self.sample.min_count > 1:
            raise ValueError(
                "`corpus.keep_raw` takes each line by itself: sample.min_count must be left out"
            )
        return self


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe file; what `[tuning]` leaves out comes from its level and its mode.

    Raises:
        RecipeError: the file is missing, is not TOML, or has faults; all are listed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(
            f"no file at {path}: correct the path, or give a name that `mirror recipes` lists"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as TOML: {error}") from error
    if "name" in content:
        raise RecipeError(
            f"{path} sets `name`: remove it; a recipe is called what its file is, {path.stem!r}"
        )
    return parse_recipe(content, name=path.stem, place=str(path))


def parse_recipe(content: dict[str, Any], *, name: str, place: str) -> Recipe:
    """Checks a recipe's content, already read; `place` is named in errors."""
    filled = dict(content)
    filled.setdefault("name", name)
    filled.setdefault("base", {})
    tuning = filled.get("tuning", {})
    if isinstance(tuning, dict):
        filled["tuning"] = fill_tuning(str(filled.get("level")), tuning)
    try:
        return Recipe.model_validate(filled)
    except ValidationError as error:
        faults = error.errors()
        if any(fault["loc"] == ("level",) for fault in faults):
            # What the level would have said is not the user's to add.
            faults = [fault for fault in faults if not _follows_from_level(fault)]
        listed = "\n".join(map(tell_fault, faults))
        raise RecipeError(f"{place} has {len(faults)} fault(s):\n{listed}") from error


def _follows_from_level(fault: ErrorDetails) -> bool:
    return fault["type"] == "missing" and fault["loc"][0] == "tuning"


def find_recipe(name: str, folder: Path = RECIPES) -> Recipe:
    """The recipe of that name in `folder` or its `paper`, or at that path if it ends in `.toml`."""
    return read_recipe(recipe_path(name, folder))
