"""Benchmark data files: where they are, checksums, download, and lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mirror import data_files
from mirror.data_files import DataFile, is_inside
from mirror.download import download_file, is_declared
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import (
    Benchmark,
    check_definitions,
    find_kind,
    kind_digest,
    read_definition,
)
from mirror.hashing import digest_of_json, file_digest
from mirror.progress import OnProgress, ProgressEvent, no_progress

DATA_ENV = "MIRROR_BENCHMARKS"
SCORING_LIBRARIES = ("numpy", "tokenizers", "torch", "transformers")
"""Packages that every score depends on; benchmark kinds add theirs."""


def data_roots() -> tuple[Path, ...]:
    """Return the folders that are searched for benchmark data, in this order."""
    return data_files.data_roots("benchmarks", DATA_ENV)


def find_file(benchmark: Benchmark, file: DataFile) -> Path:
    """Return the path of a benchmark's file.

    Raises:
        BenchmarkError: no folder has it.
    """
    roots = data_roots()
    for root in roots:
        if (root / file.path).is_file():
            return root / file.path
    searched = ", ".join(str(root) for root in roots)
    raise BenchmarkError(
        f"{benchmark.name}: no {file.path} in {searched}: {_remedy(benchmark, file)}; "
        f"{DATA_ENV} may name another folder to look in"
    )


def local_table(benchmark: Benchmark) -> Path:
    """Return the path of the user's own table, `file`.

    Raises:
        BenchmarkError: it is missing, or a link that leaves the definition's folder.
    """
    path = Path(benchmark.folder) / str(benchmark.file)
    if not path.is_file():
        raise BenchmarkError(f"{benchmark.name}: no file at {path}: correct `file`")
    if not is_inside(path, Path(benchmark.folder)):
        raise BenchmarkError(
            f"{benchmark.name}: {path} is a link that leaves the definition's folder: copy the "
            "table there"
        )
    return path


def definition_digest(benchmark: Benchmark) -> str:
    """Return the digest of a benchmark's definition and data.

    Raises:
        BenchmarkError: a file is missing or has another checksum than declared.
    """
    content = benchmark.model_dump(
        mode="json", exclude={"folder", "title", "download_instructions"}
    )
    for file in benchmark.files:
        _check_file(benchmark, file)
    if benchmark.file is not None:
        content["own"] = file_digest(local_table(benchmark))
    content["members"] = [definition_digest(read_definition(name)) for name in benchmark.members]
    return digest_of_json(content)


def benchmark_inputs(names: Sequence[str]) -> dict[str, str]:
    """Return all that scores on benchmarks depend on, as inputs of a stage: data and code.

    Raises:
        BenchmarkError: a definition or its data is missing or damaged.
    """
    benchmarks = [read_definition(name) for name in names]
    members = [read_definition(name) for each in benchmarks for name in each.members]
    return {
        **{f"benchmark {each.name}": definition_digest(each) for each in benchmarks},
        **{f"kind {each.task}": kind_digest(each.task) for each in (*benchmarks, *members)},
    }


def scoring_libraries(inputs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the packages that scores depend on, given `benchmark_inputs`."""
    tasks = [name.removeprefix("kind ") for name in inputs if name.startswith("kind ")]
    kinds = [kind for kind in map(find_kind, tasks) if kind is not None]
    return tuple(sorted({*SCORING_LIBRARIES, *(name for kind in kinds for name in kind.LIBRARIES)}))


def check_benchmarks(names: Sequence[str], guard: str | None = None) -> None:
    """Raise an error that lists all faults of benchmarks' definitions and data.

    Raises:
        BenchmarkError: something is missing or damaged.
    """
    check_definitions(names, definition_digest, guard)


def fetch_benchmark(
    benchmark: Benchmark, root: Path, on_progress: OnProgress = no_progress
) -> tuple[Path, ...]:
    """Download the missing files of a benchmark and of an average's members.

    A file appears under `root` only after its checksum was verified.

    Returns:
        The downloaded files.

    Raises:
        BenchmarkError: a file has no URL, or the download has another checksum.
        ServiceError: the publisher does not answer.
    """
    fetched: list[Path] = []
    for name in benchmark.members:
        fetched.extend(fetch_benchmark(read_definition(name), root, on_progress))
    for done, file in enumerate(benchmark.files):
        if any(is_declared(folder / file.path, file) for folder in (root, *data_roots())):
            continue
        on_progress(ProgressEvent("fetch", done, len(benchmark.files), "files", file.path))
        if file.url is None:
            raise BenchmarkError(f"{benchmark.name}: {file.path}: {_remedy(benchmark, file)}")
        fetched.append(download_file(file, file.url, root, benchmark.name, BenchmarkError))
    return tuple(fetched)


def read_lines(path: Path) -> list[str]:
    """Return a file's lines without line feeds and carriage returns.

    Only a line feed ends a line: several of these files hold other characters at which
    `str.splitlines` would split.

    Raises:
        BenchmarkError: the file is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path} is not UTF-8 ({error}): convert it") from error
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def _remedy(benchmark: Benchmark, file: DataFile) -> str:
    if file.url is not None:
        return "add --fetch to `mirror evaluate`"
    if benchmark.download_instructions:
        instructions = " ".join(benchmark.download_instructions.split()).rstrip(".")
        return f"it cannot be downloaded automatically. {instructions}"
    return f"it cannot be downloaded automatically; get it from {benchmark.publisher}"


def _check_file(benchmark: Benchmark, file: DataFile) -> None:
    path = find_file(benchmark, file)
    if (actual := file_digest(path)) != file.sha256:
        raise BenchmarkError(
            f"{benchmark.name}: {path} is not the file that was declared (SHA-256 {actual[:12]}…, "
            f"declared {file.sha256[:12]}…): remove it; {_remedy(benchmark, file)}"
        )
