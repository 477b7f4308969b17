"""Downloads over HTTP(S), kept only if their SHA-256 is the declared one.

Not pooch: its downloader decodes `Content-Encoding` and has no size limit, so that most of this
module would remain.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mirror.data_files import SCHEMES, DataFile, is_inside
from mirror.errors import InputError, ServiceError, StoreError
from mirror.hashing import file_digest

TIMEOUT_SECONDS = 30
MAX_BYTES = 1 << 30
"""Most bytes of a file; a download that is longer is ended."""
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
"""Handlers of HTTP and HTTPS only, so that no redirect leads to `file:` or `ftp:`."""
FAILURES = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


def is_declared(path: Path, file: DataFile) -> bool:
    """Return whether the file exists and has the declared checksum."""
    return path.is_file() and file_digest(path) == file.sha256


def download_file(
    file: DataFile, url: str, root: Path, owner: str, fault: type[InputError]
) -> Path:
    """Download a file to its path under `root`; it appears there once its checksum is right.

    Args:
        file: path and checksum.
        url: address of the file.
        root: folder of all data of its kind.
        owner: the benchmark or recipe that declares the file, for errors.
        fault: class of the error if the declaration or the file is wrong.

    Returns:
        The path of the file.

    Raises:
        InputError: `fault`, if the address is invalid or the file is not the declared one.
        ServiceError: the publisher does not answer.
        StoreError: the file cannot be written.
    """
    if not url.startswith(SCHEMES):
        raise fault(f"{owner}: {url} is not an http(s) address: correct `url`")
    path = root / file.path
    if not is_inside(path.parent, root):
        raise fault(f"{owner}: a link leads {path.parent} out of {root}: remove the link")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_digest(_receive(url, part, fault), file, f"{owner}: {url}", fault)
        part.rename(path)
    except ServiceError as error:
        raise ServiceError(f"{error}, or download it by hand to {path}") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error}): free disk space, or change MIRROR_HOME"
        ) from error
    finally:
        with suppress(OSError):  # an unwritable folder has already raised StoreError
            part.unlink(missing_ok=True)
    return path


def download_unpinned(url: str, root: Path, fault: type[InputError]) -> DataFile:
    """Download a file whose checksum is not known yet; return its declaration.

    Args:
        url: address of the file.
        root: folder that its path is relative to.
        fault: class of the error if the address is invalid.

    Raises:
        InputError: `fault`, if the address names no file.
        ServiceError: the publisher does not answer.
    """
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name
    if not name:
        raise fault(f"{url} names no file: give the address of one file of text")
    (root / parts.netloc).mkdir(parents=True)
    digest = _receive(url, root / parts.netloc / name, fault)
    return DataFile(path=f"{parts.netloc}/{name}", sha256=digest, url=url)


def _check_digest(digest: str, file: DataFile, origin: str, fault: type[InputError]) -> None:
    if digest != file.sha256:
        raise fault(
            f"{origin} sent another file than declared (SHA-256 {digest[:12]}…, declared "
            f"{file.sha256[:12]}…), which was deleted: correct `sha256` if the publisher has "
            "changed the data"
        )


def _receive(url: str, part: Path, fault: type[InputError]) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with (
            _http_opener().open(url, timeout=TIMEOUT_SECONDS) as response,
            part.open("wb") as output,
        ):
            while chunk := response.read(CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise fault(
                        f"{url} sends more than {MAX_BYTES >> 30} GiB, the limit: correct `url`"
                    )
                digest.update(chunk)
                output.write(chunk)
    except FAILURES as error:
        raise ServiceError(f"{url} does not answer ({error}): try again later") from error
    except ValueError as error:
        raise fault(f"{url} is not a valid address ({error}): correct `url`") from error
    return digest.hexdigest()


def _http_opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    return opener
