"""Benchmark definitions (`benchmarks/NAME.toml`) and the registry of benchmark kinds.

A kind is a subclass of `Benchmark` in a module of `mirror/evaluation/kinds/`, decorated with
`register_kind`.  It declares its keys, checks, metric, data loading and scoring in one place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import ValidationError, model_validator

from mirror.config_base import Language, Name, Section, list_faults, read_toml
from mirror.data_files import DataFile, check_inside
from mirror.errors import BenchmarkError
from mirror.hashing import code_hash, file_digest
from mirror.paths import CHECKOUT
from mirror.registration import import_modules
from mirror.run_data import RunData

if TYPE_CHECKING:
    from mirror.evaluation.result import BenchmarkResult, TextEncoder

DEFINITIONS = CHECKOUT / "benchmarks"


class Benchmark(Section):
    """Base class of the benchmark kinds: the keys that every definition may have."""

    TASK: ClassVar[str]
    """Value of the key `task` that selects this kind."""
    METRIC: ClassVar[str]
    """The kind's metric; a definition may repeat it in `metric`."""
    EXTRA_METRICS: ClassVar[tuple[str, ...]] = ()
    """Further numbers that are reported but that the gate does not use."""
    LIBRARIES: ClassVar[tuple[str, ...]] = ()
    """Packages whose version may change a score, in addition to the evaluation stage's."""
    FILE_COUNT: ClassVar[int | None] = 0
    """How many `files` a definition has; None: one or more, or one local `file`."""
    NEEDS_RUN: ClassVar[bool] = False
    """Whether it is measured on a run's own corpus or sample."""
    USES_SECOND_ENCODER: ClassVar[bool] = False
    """Whether another encoder may embed the second language."""

    name: Name
    """Name of the definition file without its ending."""
    task: str
    metric: str = ""
    title: str = ""
    languages: tuple[Language, ...] = ()
    licence: str = ""
    publisher: str = ""
    """Who published the data, and where it is described."""
    download_instructions: str = ""
    """What a user must do for files without `url`; not part of any digest."""
    used_by_gate: bool = True
    """Whether the promotion gate uses it; otherwise it is only reported."""
    files: tuple[DataFile, ...] = ()
    file: str | None = None
    """A local table in the definition's folder or below; needs no checksum."""
    members: tuple[Name, ...] = ()
    """Names of the benchmarks that an average is the mean of."""
    folder: str = ""
    """The definition file's folder."""

    def load(self, run: RunData | None) -> Any:
        """Return the benchmark's data, in the form that `score` takes.

        Args:
            run: the stages of a run, for kinds with `NEEDS_RUN`.

        Raises:
            BenchmarkError: data is missing or damaged.
        """
        raise NotImplementedError

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return an encoder's result on the data that `load` returned.

        Args:
            encoder: gives the embeddings.
            data: what `load` returned.
            second: embeds the second language, for kinds with `USES_SECOND_ENCODER`.

        Raises:
            BenchmarkError: the embeddings cannot be scored.
        """
        raise NotImplementedError

    def extra_metric_names(self) -> tuple[str, ...]:
        """Return the names of the numbers that are reported in addition to the score."""
        return self.EXTRA_METRICS

    def check_members(self) -> None:
        """Raise BenchmarkError where another definition contradicts this one."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_metric(cls, values: Any) -> Any:
        return {"metric": cls.METRIC, **values} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _check_metric_and_members(self) -> Self:
        if self.task != self.TASK:
            raise ValueError(f"the task of this kind is {self.TASK!r}")
        if not self.members and self.metric != self.METRIC:
            raise ValueError(
                f"the metric of {self.task} is {self.METRIC}: write that, or leave out `metric`"
            )
        if self.members and self.TASK != "average":
            raise ValueError("only an average takes `members`")
        return self

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.file is not None:
            check_inside(self.file)
        count, listed = self.FILE_COUNT, len(self.files)
        if count is None and bool(listed) == (self.file is not None):
            raise ValueError(f"a {self.task} benchmark needs `file`, or `files` with checksums")
        if count == 0 and (listed or self.file):
            raise ValueError(f"a {self.task} benchmark takes no files")
        if count and (listed != count or self.file):
            raise ValueError(f"a {self.task} benchmark needs {count} `files`, with checksums")
        return self


KINDS: dict[str, type[Benchmark]] = {}
"""The registered kinds, by `task`; use `find_kind`, which imports them first."""


Kind = TypeVar("Kind", bound=type[Benchmark])


def register_kind(kind: Kind) -> Kind:
    """Register a benchmark kind under its `TASK`; a class decorator."""
    KINDS[kind.TASK] = kind
    return kind


def find_kind(task: object) -> type[Benchmark] | None:
    """Return the benchmark kind of a `task`, or None if there is none."""
    import_modules("mirror.evaluation.kinds")
    return KINDS.get(task) if isinstance(task, str) else None


def kind_digest(task: str) -> str:
    """Return the digest of the code of a benchmark kind."""
    import_modules("mirror.evaluation.kinds")
    module = KINDS[task].__module__
    if module.startswith("mirror."):
        return code_hash(module.removeprefix("mirror."))
    return file_digest(Path(inspect.getfile(KINDS[task])))


def definition_names() -> list[str]:
    """Return the names of the benchmarks in `benchmarks/`, sorted."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.toml"))


def read_definition(name: str) -> Benchmark:
    """Return the benchmark in `benchmarks/NAME.toml`, or at a path that ends in `.toml`.

    Raises:
        BenchmarkError: the file is missing, is not TOML, or has faults; all are listed.
    """
    benchmark = read_member(name)
    benchmark.check_members()
    return benchmark


def read_member(name: str) -> Benchmark:
    """As `read_definition`, without a check of an average's members."""
    path = Path(name) if name.endswith(".toml") else DEFINITIONS / f"{name}.toml"
    if not path.exists():
        known = ", ".join(definition_names())
        raise BenchmarkError(f"no benchmark at {path}: those shipped are {known}")
    content = read_toml(path, BenchmarkError)
    kind = find_kind(content.get("task"))
    if kind is None:
        raise BenchmarkError(
            f"{path}: unknown task {content.get('task')!r}: set `task` to one of "
            f"{', '.join(sorted(KINDS))}"
        )
    try:
        return kind.model_validate(
            {**content, "name": path.stem, "folder": str(path.parent.absolute())}
        )
    except ValidationError as error:
        raise BenchmarkError(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error


def check_definitions(
    names: Sequence[str],
    check_data: Callable[[Benchmark], object] | None = None,
    guard: str | None = None,
) -> None:
    """Raise an error that lists all faults of benchmarks' definitions.

    Args:
        names: the benchmarks.
        check_data: a further check of each.
        guard: a recipe's `evaluation.guard`, if it has one.

    Raises:
        BenchmarkError: a definition is missing or has faults, the gate may use none of them, or the
            guard depends on the run's corpus.
    """
    faults = []
    judged = False
    for name in dict.fromkeys((*names, *([guard] if guard else ()))):
        try:
            benchmark = read_definition(name)
            judged = judged or (benchmark.used_by_gate and name in names)
            if name == guard:
                _check_guard(benchmark)
            if check_data is not None:
                check_data(benchmark)
        except BenchmarkError as error:
            faults.append(str(error))
    if not judged and not faults:
        faults.append(
            f"the gate uses none of {', '.join(names)}, which all have `used_by_gate = false`: "
            "add a benchmark without it to evaluation.benchmarks"
        )
    if faults:
        raise BenchmarkError("\n".join(faults))


def _check_guard(benchmark: Benchmark) -> None:
    if benchmark.NEEDS_RUN:
        raise BenchmarkError(
            f"evaluation.guard: {benchmark.name} is measured on the run's own texts, and a guard "
            "is a general benchmark: choose one with files of its own, such as stsb"
        )
