"""Benchmarks: what is measured, declared in `benchmarks/NAME.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from mirror import data_files
from mirror.config_base import Language, Name, Section, list_faults
from mirror.data_files import DataFile, check_inside, is_inside
from mirror.errors import BenchmarkError
from mirror.paths import CHECKOUT
from mirror.store import digest_of_json, file_digest

DEFINITIONS = CHECKOUT / "benchmarks"
DATA_ENV = "MIRROR_BENCHMARKS"

Task = Literal[
    "similarity",
    "classification",
    "lexicon-induction",
    "entity-linking",
    "retrieval",
    "space-diagnostics",
    "average",
]
Metric = Literal["spearman", "auc", "acc@1", "mrr@10", "isotropy"]
METRICS: dict[str, str] = {
    "similarity": "spearman",
    "classification": "auc",
    "lexicon-induction": "acc@1",
    "entity-linking": "acc@1",
    "retrieval": "mrr@10",
    "space-diagnostics": "isotropy",
}
"""The one metric of each task; an average has that of its members."""
EXTRA_METRICS: dict[str, tuple[str, ...]] = {
    "entity-linking": ("acc@5",),
    "space-diagnostics": ("isotropy, table 9", "mean vector norm", "alignment", "uniformity"),
}
"""What a task measures beside its score, where it measures anything."""
OF_A_RUN = ("retrieval", "space-diagnostics")
"""Tasks on a run's own strings, which take no files."""
TWO_FILES = ("lexicon-induction", "entity-linking")
"""Tasks on two files of their own."""


class Columns(Section):
    """Where a table keeps its pairs: names in the header, or numbers from 0 without one."""

    first: str | int = "sentence1"
    second: str | int = "sentence2"
    score: str | int = "score"


class Definition(Section):
    """One benchmark."""

    name: Name
    """Its file's name without the ending."""
    task: Task
    """similarity: pairs that people scored; classification: pairs with one of two labels;
    lexicon-induction: words and their translations; entity-linking: mentions and their concepts;
    retrieval: passages of the run's own corpus; space-diagnostics: the vectors of the run's own
    strings; average: the mean of other benchmarks."""
    metric: Metric = "spearman"
    title: str = ""
    languages: tuple[Language, ...] = ()
    licence: str = ""
    publisher: str = ""
    """Who made it, and where it is described."""
    download_instructions: str = ""
    """What a user must do for files without `url`; for people, no part of any key."""
    scale: tuple[float, float] | None = None
    """Least and greatest gold score; others are faults of the file."""
    format: Literal["table", "semeval", "multisimlex"] = "table"
    """table: TSV without quoting; semeval: one file of pairs and one of scores for each subset."""
    files: tuple[DataFile, ...] = ()
    """lexicon-induction: the training dictionary, then the test dictionary; entity-linking: the
    dictionary of concepts, then the corpus."""
    columns: Columns = Columns()
    column: str | None = None
    """multisimlex: the language's column."""
    second_column: str | None = None
    """multisimlex: the second words' language, for pairs across two; see `benchmark_data`."""
    labels: tuple[str, str] | None = None
    """classification: what the score column says of pairs that do not match, and that do."""
    pairs: int | None = None
    """How many scored pairs there must be."""
    items: int | None = None
    """lexicon-induction, entity-linking: how many words, mentions there must be."""
    types: tuple[str, ...] = ()
    """entity-linking: the kinds of mentions that are taken; all if none is named."""
    used_by_gate: bool = True
    """Whether the gate judges by it; if not it is only reported."""
    file: str | None = None
    """A table of your own, beside the definition or in a folder there: no checksum is asked for."""
    members: tuple[Name, ...] = ()
    """average: the benchmarks of one metric that it is the mean of."""
    folder: str = ""
    """Where the definition was read from."""

    @model_validator(mode="after")
    def _own_table_is_near(self) -> Self:
        if self.file is not None:
            check_inside(self.file)
        return self

    @model_validator(mode="after")
    def _has_what_its_task_needs(self) -> Self:
        pairs = self.task in ("similarity", "classification")
        if pairs and bool(self.files) == (self.file is not None):
            raise ValueError(f"a {self.task} benchmark needs `file`, or `files` with checksums")
        if self.task == "average" and not self.members:
            raise ValueError("an average needs `members`, the names of its benchmarks")
        if self.task in OF_A_RUN and (self.files or self.file):
            raise ValueError(f"a {self.task} benchmark takes no files")
        if self.task in TWO_FILES and (len(self.files) != 2 or self.file):
            raise ValueError(f"a {self.task} benchmark needs two `files`, with checksums")
        if self.task == "space-diagnostics" and self.used_by_gate:
            raise ValueError(
                "measures of a space have no items to judge by: set `used_by_gate = false`"
            )
        if self.metric != METRICS.get(self.task, self.metric):
            raise ValueError(f"the metric of {self.task} is {METRICS[self.task]}: name it")
        if (self.task == "classification") != (self.labels is not None):
            raise ValueError("a classification benchmark needs `labels`, and no other takes them")
        return self

    @model_validator(mode="after")
    def _has_what_its_format_needs(self) -> Self:
        if self.format == "multisimlex" and (self.column is None or len(self.files) != 2):
            raise ValueError("format multisimlex needs `column`, two `files`: words, then scores")
        if self.format == "semeval" and (not self.files or len(self.files) % 2):
            raise ValueError(
                "format semeval needs `files` two by two: pairs, then their scores, of each subset"
            )
        if self.second_column is not None and self.scale is None:
            raise ValueError("pairs across two languages need `scale`")
        return self


def definition_names() -> list[str]:
    """Names of the benchmarks that are shipped."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.toml"))


def read_definition(name: str) -> Definition:
    """The definition in `benchmarks/NAME.toml`, or at that path if it ends in `.toml`.

    Raises:
        BenchmarkError: the file is missing, is not TOML, or has faults; all are listed; or it is
            an average of other things than benchmarks of its own metric.
    """
    definition = _read(name)
    for member in definition.members:
        part = _read(member)
        if part.task in ("average", *OF_A_RUN):
            raise BenchmarkError(
                f"{definition.name} is an average of {member}, whose task is {part.task!r}: name "
                "benchmarks with files of their own in `members`"
            )
        if part.metric != definition.metric:
            raise BenchmarkError(
                f"{definition.name} is an average of {definition.metric}, and the metric of "
                f"{member} is {part.metric}: name benchmarks of one metric in `members`"
            )
    return definition


def _read(name: str) -> Definition:
    path = Path(name) if name.endswith(".toml") else DEFINITIONS / f"{name}.toml"
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(definition_names())
        raise BenchmarkError(f"no benchmark at {path}: those shipped are {known}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchmarkError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return Definition.model_validate(
            {**content, "name": path.stem, "folder": str(path.parent.absolute())}
        )
    except ValidationError as error:
        raise BenchmarkError(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error


def extra_metric_names(definition: Definition) -> tuple[str, ...]:
    """Names of what a benchmark measures beside its score; of an average, what all members do."""
    if definition.task != "average":
        return EXTRA_METRICS.get(definition.task, ())
    first, *others = (extra_metric_names(_read(member)) for member in definition.members)
    return tuple(name for name in first if all(name in other for other in others))


def data_roots() -> tuple[Path, ...]:
    """Folders where benchmarks' data is looked for, the first one first."""
    return data_files.data_roots("benchmarks", DATA_ENV)


def find_file(definition: Definition, file: DataFile) -> Path:
    """Where a benchmark's file is.

    Raises:
        BenchmarkError: it is in none of the folders.
    """
    roots = data_roots()
    for root in roots:
        if (root / file.path).is_file():
            return root / file.path
    looked = ", ".join(str(root) for root in roots)
    raise BenchmarkError(
        f"{definition.name}: no {file.path} in {looked}: {remedy_for(definition, file)}; "
        f"{DATA_ENV} may name another folder to look in"
    )


def remedy_for(definition: Definition, file: DataFile) -> str:
    """How a user gets a file that is missing or another one."""
    if file.url is not None:
        return "add --fetch to `mirror evaluate`"
    if definition.download_instructions:
        instructions = " ".join(definition.download_instructions.split()).rstrip(".")
        return f"it cannot be downloaded automatically. {instructions}"
    return f"it cannot be downloaded automatically; get it from {definition.publisher}"


def check_benchmarks(names: Sequence[str]) -> None:
    """As `check_definitions`, and that their data is there, to the byte.

    Raises:
        BenchmarkError: something is missing or damaged; all faults are listed.
    """
    _check(names, definition_digest)


def check_definitions(names: Sequence[str]) -> None:
    """Checks that benchmarks' definitions are sound, in no time.

    Raises:
        BenchmarkError: one is missing or has faults, or the gate would have nothing to judge by.
    """
    _check(names, lambda definition: None)


def _check(names: Sequence[str], check: Callable[[Definition], object]) -> None:
    faults = []
    judged = False
    for name in names:
        try:
            definition = read_definition(name)
            judged = judged or definition.used_by_gate
            check(definition)
        except BenchmarkError as error:
            faults.append(str(error))
    if not judged and not faults:
        faults.append(
            f"the gate uses none of {', '.join(names)}, which all have `used_by_gate = false`: "
            "add a benchmark without it to evaluation.benchmarks"
        )
    if faults:
        raise BenchmarkError("\n".join(faults))


def definition_digest(definition: Definition) -> str:
    """Digest of all that a benchmark's score depends on: the definition and its data.

    Raises:
        BenchmarkError: a file is missing, or is not the one that was declared.
    """
    content = definition.model_dump(
        mode="json", exclude={"folder", "title", "download_instructions"}
    )
    for file in definition.files:
        _check_file(definition, file)
    if definition.file is not None:
        content["own"] = file_digest(own_file(definition))
    content["members"] = [definition_digest(read_definition(name)) for name in definition.members]
    return digest_of_json(content)


def own_file(definition: Definition) -> Path:
    """The user's own table.

    Raises:
        BenchmarkError: it is not there, or a link leads elsewhere.
    """
    path = Path(definition.folder) / str(definition.file)
    if not path.is_file():
        raise BenchmarkError(f"{definition.name}: no file at {path}: correct `file`")
    if not is_inside(path, Path(definition.folder)):
        raise BenchmarkError(
            f"{definition.name}: {path} is a link that leaves the definition's folder: copy the "
            "table there"
        )
    return path


def _check_file(definition: Definition, file: DataFile) -> None:
    path = find_file(definition, file)
    if (found := file_digest(path)) != file.sha256:
        raise BenchmarkError(
            f"{definition.name}: {path} is not the file that was declared (SHA-256 {found[:12]}…, "
            f"declared {file.sha256[:12]}…): remove it; {remedy_for(definition, file)}"
        )
