"""Gets benchmarks' data from where it is published."""

from __future__ import annotations

from pathlib import Path

from mirror.download import download_file, is_declared
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition, data_roots, read_definition, remedy_for
from mirror.progress import OnProgress, ProgressEvent, no_progress


def fetch_benchmark(
    definition: Definition, root: Path, on_progress: OnProgress = no_progress
) -> tuple[Path, ...]:
    """Downloads the files of a benchmark, and of an average's members, that are not there yet.

    A file appears in its place under `root` only once its checksum is right.

    Returns:
        The files that were downloaded.

    Raises:
        BenchmarkError: a file is published nowhere, or what came is not what was declared.
        ServiceError: the publisher does not answer.
    """
    fetched: list[Path] = []
    for name in definition.members:
        fetched.extend(fetch_benchmark(read_definition(name), root, on_progress))
    for done, file in enumerate(definition.files):
        if any(is_declared(place / file.path, file) for place in (root, *data_roots())):
            continue
        on_progress(ProgressEvent("fetch", done, len(definition.files), "files", file.path))
        if file.url is None:
            raise BenchmarkError(f"{definition.name}: {file.path}: {remedy_for(definition, file)}")
        fetched.append(download_file(file, file.url, root, definition.name, BenchmarkError))
    return tuple(fetched)
