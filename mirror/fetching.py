"""Gets benchmarks' data from where it is published."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from mirror.benchmark import DataFile, Definition, data_roots, read_definition, remedy_for
from mirror.errors import BenchmarkError, ServiceError
from mirror.progress import OnProgress, Progress, silent
from mirror.store import file_digest

TIMEOUT_SECONDS = 30
LARGEST = 1 << 30
"""Bytes that a file may have; a server that sends more is cut off."""
SCHEMES = ("https://", "http://")
CHUNK = 1 << 18


def fetch_benchmark(
    definition: Definition, root: Path, on_progress: OnProgress = silent
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
    for name in definition.of:
        fetched.extend(fetch_benchmark(read_definition(name), root, on_progress))
    for done, file in enumerate(definition.files):
        if any(_is_there(place / file.path, file) for place in (root, *data_roots())):
            continue
        on_progress(Progress("fetch", done, len(definition.files), "files", file.path))
        fetched.append(_download(definition, file, root))
    return tuple(fetched)


def _is_there(path: Path, file: DataFile) -> bool:
    return path.is_file() and file_digest(path) == file.sha256


def _download(definition: Definition, file: DataFile, root: Path) -> Path:
    if file.url is None:
        raise BenchmarkError(f"{definition.name}: {file.path}: {remedy_for(definition, file)}")
    if not file.url.startswith(SCHEMES):
        raise BenchmarkError(f"{definition.name}: {file.url} is no http(s) address; correct `url`")
    place = root / file.path
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        digest = _receive(file.url, part)
        if digest != file.sha256:
            raise BenchmarkError(
                f"{definition.name}: {file.url} sent another file than was declared (SHA-256 "
                f"{digest[:12]}…, declared {file.sha256[:12]}…): it was not kept; if the publisher "
                "has changed the data, so must the definition"
            )
        part.rename(place)
    finally:
        part.unlink(missing_ok=True)
    return place


def _receive(url: str, part: Path) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310
            part.open("wb") as sink,
        ):
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                if size > LARGEST:
                    raise BenchmarkError(f"{url} sends more than {LARGEST >> 30} GiB; not kept")
                digest.update(chunk)
                sink.write(chunk)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise ServiceError(f"{url} does not answer ({error}): try again, or later") from error
    return digest.hexdigest()
