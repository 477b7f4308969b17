"""MLflow client whose exceptions are this project's errors, and the lock on a registered model."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from mirror.errors import InputError, ServiceError, StoreError
from mirror.locks import exclusive_lock
from mirror.maintenance.network import ADDRESS_REMEDY, is_no_address
from mirror.secrets import without_secrets
from mirror.store import NO_SPACE
from tasks.network import check_login

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Answer = TypeVar("Answer")

VARIABLE = "MLFLOW_TRACKING_URI"
NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
CLIENT_ERRORS = {"INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", NOT_FOUND}
LINE_CHARACTERS = 200
DISK_FULL = os.strerror(errno.ENOSPC)
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Default ports of the databases that MLflow supports besides SQLite."""
CONNECT_SECONDS = 5.0
TIMEOUT_DRIVERS = ("psycopg", "psycopg2", "pymysql", "mysqldb")
"""Drivers that accept the option `connect_timeout`."""

MAX_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
"""MLflow reads this environment variable before each request; it holds for the whole process."""
_RETRIES_LOCK = Lock()
_retries: list[int] = []
_retries_before: list[str | None] = []


@contextmanager
def open_store() -> Iterator[MlflowClient]:
    """Open the tracking store named by MLFLOW_TRACKING_URI.

    Raises:
        InputError: the address is wrong, or the store refuses the request.
        ServiceError: the store does not answer.
        StoreError: a disk is full.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    uri = os.environ[VARIABLE]
    check_address(uri)
    mlflow.set_tracking_uri(uri)
    try:
        with _schema_lock(sqlite_file(uri)):
            client = MlflowClient()
        yield client
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        _check_disk_full(error)
        first_line = _shorten(without_secrets(str(error).partition("\n")[0]))
        if getattr(error, "error_code", None) in CLIENT_ERRORS:
            raise InputError(
                f"the tracking store {shown_uri()} refused: {first_line}; see {VARIABLE}"
            ) from error
        raise ServiceError(
            f"the tracking store {shown_uri()} did not answer: {first_line}; start it, or set "
            f"{VARIABLE} to another, or unset it to keep runs in the workspace"
        ) from error
    except OSError as error:  # from copying an encoder or a report
        _check_disk_full(error)
        raise


@contextmanager
def registry_lock(name: str, workspace: Path) -> Iterator[MlflowClient]:
    """Open the store while holding the lock on the versions and aliases of a model.

    The lock lies next to an SQLite store, so all workspaces that use that file share it.  A
    tracking server offers no lock: there it is a lock of the workspace, and another workspace can
    write between a check and the write after it, which are milliseconds apart.
    """
    file = sqlite_file(os.environ[VARIABLE])
    path = Path(f"{file.resolve()}.{name}.lock") if file else _workspace_lock(name, workspace)
    with open_store() as client, exclusive_lock(path):
        yield client


def check_registry() -> None:
    """Check within seconds that the tracking store answers.

    Raises:
        ServiceError: the store does not answer.
        InputError: the store refuses the request, or MLFLOW_TRACKING_URI is wrong.
    """
    try:
        with retry_requests(1), open_store() as client:
            client.search_registered_models(max_results=1)
    except (ImportError, OSError) as error:
        raise InputError(
            f"the tracking store {shown_uri()} cannot be used ({without_secrets(str(error))}): "
            f"correct {VARIABLE}, or install what its kind needs"
        ) from error


def check_address(uri: str) -> None:
    """Check a store's address and, for a database, that it accepts the login.

    MLflow itself retries a database 15 times, over an hour.
    """
    if is_no_address(uri):
        raise InputError(f"{VARIABLE}: {without_secrets(uri)} is no address: {ADDRESS_REMEDY}")
    scheme = uri.partition("://")[0].partition("+")[0]
    if scheme in (*DATABASE_PORTS, "http", "https"):
        check_login(uri, VARIABLE)
    if scheme in DATABASE_PORTS:
        _check_database(uri, DATABASE_PORTS[scheme])


@contextmanager
def retry_requests(times: int) -> Iterator[None]:
    """Limit the retries of MLflow's HTTP client inside the block.

    Blocks of several threads may overlap: the lowest limit applies until the last block ends.
    """
    with _RETRIES_LOCK:
        if not _retries:
            _retries_before.append(os.environ.get(MAX_RETRIES))
        _retries.append(times)
        os.environ[MAX_RETRIES] = str(min(_retries))
    try:
        yield
    finally:
        with _RETRIES_LOCK:
            _retries.remove(times)
            after = str(min(_retries)) if _retries else _retries_before.pop()
            if after is None:
                del os.environ[MAX_RETRIES]
            else:
                os.environ[MAX_RETRIES] = after


def or_none(request: Callable[[], Answer]) -> Answer | None:
    """Return the answer to a request; None if the store does not have what it names."""
    from mlflow.exceptions import MlflowException

    try:
        return request()
    except MlflowException as error:
        if error.error_code == NOT_FOUND:
            return None
        raise


def all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    """Yield all results of one of the client's searches, which answer page by page."""
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def sqlite_file(uri: str) -> Path | None:
    """Return the absolute path of an SQLite store, or None for a server or a folder."""
    scheme, _, location = uri.partition(":///")
    file = location.partition("?")[0].removeprefix("file:")
    return Path(file).absolute() if scheme.partition("+")[0] == "sqlite" and file else None


def web_pages(client: MlflowClient, version: ModelVersion) -> tuple[tuple[str, str], ...]:
    """Return (title, address) of a version's pages in MLflow; empty without a tracking server."""
    server = shown_uri().rstrip("/")
    if not server.startswith(("http://", "https://")):
        return ()
    model = ("Model version", f"{server}/#/models/{version.name}/versions/{version.version}")
    logged = or_none(lambda: client.get_run(str(version.run_id)))
    if logged is None:
        return (model,)  # the run was deleted, and its report with it
    run = f"{server}/#/experiments/{logged.info.experiment_id}/runs/{version.run_id}"
    return (("Report", f"{run}/artifacts/report.html"), model, ("Run in MLflow", run))


def shown_uri() -> str:
    """Return the store's address without its password."""
    return without_secrets(os.environ[VARIABLE])


def _workspace_lock(name: str, workspace: Path) -> Path:
    folder = workspace / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"registry-{name}.lock"


def _schema_lock(file: Path | None) -> AbstractContextManager[object]:
    """Return a lock on creating an SQLite file's tables, which two runs cannot do at once."""
    if file is None or (file.is_file() and not os.access(file.parent, os.W_OK)):
        return nullcontext()  # a read-only store needs no lock, and could not have one
    file.parent.stat()  # a missing folder is an error in the address
    return exclusive_lock(Path(f"{file}.lock"))


def _shorten(line: str) -> str:
    if len(line) <= LINE_CHARACTERS:
        return line
    start = line[:LINE_CHARACTERS]
    return f"{start.rpartition(' ')[0] or start} …"


def _check_disk_full(error: Exception) -> None:
    """Raise StoreError, which is not retried, if a full disk caused the error."""
    is_full = getattr(error, "errno", None) in NO_SPACE
    if is_full or any(text in str(error) for text in ("database or disk is full", DISK_FULL)):
        path = getattr(error, "filename", None) or shown_uri()
        raise StoreError(
            f"there is no room for {path} ({DISK_FULL}): free some space, or raise the limit on "
            "it, and run again; finished stages are reused"
        ) from error


def _check_database(uri: str, port: int) -> None:
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        # The exception's text quotes a part of the address, which may be the password.
        raise InputError(f"{VARIABLE}: the database's address cannot be read: correct it") from None
    shown = without_secrets(uri)
    try:
        if url.host:  # otherwise a local socket, or a host given in the options
            socket.create_connection((url.host, url.port or port), CONNECT_SECONDS).close()
        if url.get_driver_name() in TIMEOUT_DRIVERS:
            url = url.update_query_dict({"connect_timeout": f"{CONNECT_SECONDS:.0f}"})
        create_engine: Any = create_sqlalchemy_engine
        engine = create_engine(url.render_as_string(hide_password=False))
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise InputError(
            f"{VARIABLE}: {shown} needs {error.name}: install it, or name an installed driver, "
            "as in postgresql+psycopg://…"
        ) from error
    except (OSError, OverflowError, UnicodeError, SQLAlchemyError) as error:
        first_line = without_secrets(str(error).partition("\n")[0])
        raise ServiceError(
            f"the tracking store {shown} did not answer: {first_line}; start it, or set "
            f"{VARIABLE} to another, or unset it to keep runs in the workspace"
        ) from error
