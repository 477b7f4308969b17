"""The tracking store: a client whose faults are ours, and its address without secrets."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mirror.errors import InputError, ServiceError, StoreError
from mirror.locks import exclusive_lock
from mirror.store import NO_SPACE
from tasks.network import without_secrets
from tasks.registry.reaching import check_address

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
USERS_FAULT = {"INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", NOT_THERE}
LINE_CHARACTERS = 200
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
"""MLflow looks it up before each request, in the environment, which is the whole process's."""
_RETRIES_LOCK = Lock()
_retries: list[int] = []
_before: list[str | None] = []
FULL = os.strerror(errno.ENOSPC)


@contextmanager
def open_store() -> Iterator[MlflowClient]:
    """A client; what it raises becomes one of our errors."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    uri = os.environ["MLFLOW_TRACKING_URI"]
    check_address(uri)
    mlflow.set_tracking_uri(uri)
    try:
        with _making_tables(sqlite_file(uri)):
            client = MlflowClient()
        yield client
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        _check_full(error)
        first_line = _shortened(without_secrets(str(error).partition("\n")[0]))
        if getattr(error, "error_code", None) in USERS_FAULT:
            raise InputError(
                f"the tracking store {shown_uri()} refused: {first_line}; see MLFLOW_TRACKING_URI"
            ) from error
        raise ServiceError(
            f"the tracking store {shown_uri()} did not answer: {first_line}; start it, or set "
            "MLFLOW_TRACKING_URI to another, or unset it to keep runs in the workspace"
        ) from error
    except OSError as error:  # of a copy of an encoder, or of a report
        _check_full(error)
        raise


def _shortened(line: str) -> str:
    if len(line) <= LINE_CHARACTERS:
        return line
    kept = line[:LINE_CHARACTERS]
    return f"{kept.rpartition(' ')[0] or kept} …"


def _check_full(error: Exception) -> None:
    """Raises StoreError where the disk is full: later it will be too, until someone makes room."""
    full = getattr(error, "errno", None) in NO_SPACE
    if full or any(text in str(error) for text in ("database or disk is full", FULL)):
        place = getattr(error, "filename", None) or shown_uri()
        raise StoreError(
            f"there is no room for {place} ({FULL}): free some space, or raise the limit on it, "
            "and run again; what is whole is kept"
        ) from error


def _making_tables(file: Path | None) -> AbstractContextManager[object]:
    """Two first runs at once would both make the tables of a file, and one would fail."""
    if file is None or (file.is_file() and not os.access(file.parent, os.W_OK)):
        return nullcontext()  # where nothing can be written nothing is made, and reading is safe
    file.parent.stat()  # a folder that is not there is a wrong address
    return exclusive_lock(Path(f"{file}.lock"))


@contextmanager
def retrying(times: int) -> Iterator[None]:
    """Within the block, MLflow's client asks a server that does not answer only so often again.

    Blocks of several threads may overlap: the least number holds for all, until the last ends.
    """
    with _RETRIES_LOCK:
        if not _retries:
            _before.append(os.environ.get(RETRIES))
        _retries.append(times)
        os.environ[RETRIES] = str(min(_retries))
    try:
        yield
    finally:
        with _RETRIES_LOCK:
            _retries.remove(times)
            after = str(min(_retries)) if _retries else _before.pop()
            if after is None:
                del os.environ[RETRIES]
            else:
                os.environ[RETRIES] = after


def sqlite_file(uri: str) -> Path | None:
    """The file that a store's address names, absolute; none where it names a server or a folder."""
    kind, _, place = uri.partition(":///")
    file = place.partition("?")[0].removeprefix("file:")
    return Path(file).absolute() if kind.partition("+")[0] == "sqlite" and file else None


def pages_of(client: MlflowClient, version: ModelVersion) -> tuple[tuple[str, str], ...]:
    """Names and addresses of what MLflow's pages show of a version; none without a server."""
    server = shown_uri().rstrip("/")
    if not server.startswith(("http://", "https://")):
        return ()
    from mlflow.exceptions import MlflowException

    model = ("Model version", f"{server}/#/models/{version.name}/versions/{version.version}")
    try:
        experiment = client.get_run(str(version.run_id)).info.experiment_id
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        return (model,)  # its run was removed, and the report with it
    run = f"{server}/#/experiments/{experiment}/runs/{version.run_id}"
    return (("Report", f"{run}/artifacts/report.html"), model, ("Run in MLflow", run))


def shown_uri() -> str:
    """The store's address, for messages."""
    return without_secrets(os.environ["MLFLOW_TRACKING_URI"])
