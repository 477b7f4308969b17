"""Gets a file from where it is published, and keeps it only if it is the one that was declared."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from mirror.data_files import SCHEMES, DataFile, is_inside
from mirror.errors import InputError, ServiceError, StoreError
from mirror.hashing import file_digest

TIMEOUT_SECONDS = 30
LARGEST = 1 << 30
"""Bytes that a file may have; a server that sends more is cut off."""
CHUNK = 1 << 18
HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)
"""Of the web alone: no redirect leads to `file:` or `ftp:`."""


def is_declared(path: Path, file: DataFile) -> bool:
    """Whether the file is there, and is the one that was declared."""
    return path.is_file() and file_digest(path) == file.sha256


def download_file(
    file: DataFile, url: str, root: Path, owner: str, fault: type[InputError]
) -> Path:
    """Downloads a file to its place under `root`, where it appears only once its checksum is right.

    Args:
        file: what is wanted.
        url: where it is.
        root: the folder of all data of its kind.
        owner: whose file it is, for errors: a benchmark or a recipe.
        fault: what to raise if the declaration or the file is wrong.

    Returns:
        Where the file is.

    Raises:
        InputError: `fault`, for an address that is none, or a file other than was declared.
        ServiceError: the publisher does not answer.
        StoreError: the file cannot be written.
    """
    if not url.startswith(SCHEMES):
        raise fault(f"{owner}: {url} is no http(s) address; correct `url`")
    place = root / file.path
    if not is_inside(place.parent, root):
        raise fault(f"{owner}: a link leads {place.parent} out of {root}: remove it")
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _check(_receive(url, part, fault), file, f"{owner}: {url}", fault)
        part.rename(place)
    except ServiceError as error:
        raise ServiceError(f"{error}, or get it in another way and put it at {place}") from error
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({error}): free space, or set MIRROR_HOME"
        ) from error
    finally:
        with suppress(OSError):  # what is wrong with the place has been said
            part.unlink(missing_ok=True)
    return place


def _check(digest: str, file: DataFile, sender: str, fault: type[InputError]) -> None:
    if digest != file.sha256:
        raise fault(
            f"{sender} sent another file than was declared (SHA-256 {digest[:12]}…, declared "
            f"{file.sha256[:12]}…): it was not kept; if the publisher has changed the data, so "
            "must the declaration"
        )


def _receive(url: str, part: Path, fault: type[InputError]) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with (
            _web().open(url, timeout=TIMEOUT_SECONDS) as answer,
            part.open("wb") as sink,
        ):
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                if size > LARGEST:
                    raise fault(f"{url} sends more than {LARGEST >> 30} GiB; not kept")
                digest.update(chunk)
                sink.write(chunk)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise ServiceError(f"{url} does not answer ({error}): try again, or later") from error
    except ValueError as error:
        raise fault(f"{url} is no address ({error}): correct `url`") from error
    return digest.hexdigest()


def _web() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    return opener
