"""Temporary Prefect server of one run, for users without a server.

Prefect can start one itself, but imports its whole server into the run's process first (2 to 7 s),
starts it only when the flow is called, and leaves it running when the run is killed.  This one
starts at once, in parallel to other imports, and ends with its parent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import HTTPError as AnswerError
from urllib.request import urlopen

from httpx import HTTPError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from mirror.errors import ServiceError, StoreError
from mirror.secrets import without_secrets
from mirror.shutdown import exit_with_parent
from tasks.network import answers

HOST = "127.0.0.1"
POLL_SECONDS = 0.1
STOP_SECONDS = 5
ANSWER_SECONDS = 5
FULL_DISK_BYTES = 1 << 20
"""With less free space, SQLite's errors are attributed to a full disk."""
SERVER_ERROR = 500
EXTRA_SERVICES = (
    "CANCELLATION_CLEANUP",
    "CLEANUP_RECONCILER",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TRIGGERS",
)
"""Background services for deployments and work pools, which a temporary server has none of."""
NO_BLOCKS = {
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    # Else the server would record blocks as registered.
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""A run uses no blocks, and two servers that register them at once would conflict."""


@contextmanager
def temporary_api() -> Iterator[Callable[[], None]]:
    """Provide a Prefect API within the block: the configured one, else a temporary one.

    Yields a function that waits until the API answers; call it before the first flow.

    Raises:
        ServiceError: the server does not start or answer, or fails later.
        StoreError: the disk is too full for the temporary server's database.
    """
    if configured := PREFECT_API_URL.value():
        with _translate_errors(str(configured)):
            yield lambda: _check_answers(str(configured))
        return
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    process = _start(port)
    try:
        with (
            temporary_settings({PREFECT_API_URL: url}),
            _translate_errors(url, PREFECT_HOME.value()),
        ):
            try:
                yield lambda: _wait(process, url)
            finally:
                # Also after a failure: else Prefect prints errors when the process exits.
                _flush_logs()
    finally:
        _stop(process)


@contextmanager
def _translate_errors(url: str, folder: Path | None = None) -> Iterator[None]:
    """Raise errors of Prefect's client as ours; `folder` has the temporary server's database."""
    try:
        yield
    except HTTPError as error:
        if folder and folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK_BYTES:
            raise StoreError(
                f"the disk is full, so Prefect's database in {folder} cannot grow: free some "
                "space, or set MIRROR_HOME to another folder, and run again; finished stages are "
                "reused"
            ) from error
        reason = without_secrets(str(error).partition("\n")[0]) or type(error).__name__
        raise ServiceError(
            f"the Prefect server at {without_secrets(url)} failed during the run ({reason}): "
            "run again when it answers; finished stages are reused"
        ) from error


def _check_answers(url: str) -> None:
    address = without_secrets(url).rstrip("/")
    try:
        with urlopen(f"{address}/health", timeout=ANSWER_SECONDS):  # noqa: S310 - the user's own
            return
    except AnswerError as answer:
        if answer.code < SERVER_ERROR:
            return  # it answers, and may require a key, which Prefect has
        raise _no_answer(address, f"HTTP {answer.code} {answer.reason}") from answer
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, SSLError):
            return  # likewise: Prefect may have its certificate
        raise _no_answer(address, str(reason)) from error


def _no_answer(address: str, reason: str) -> ServiceError:
    return ServiceError(
        f"the Prefect server at {address} did not answer ({reason}): start it, or unset "
        "PREFECT_API_URL (here or with `prefect config unset PREFECT_API_URL`) to run without one"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start(port: int) -> subprocess.Popen[bytes]:
    services = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in EXTRA_SERVICES}
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.local_api", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Ctrl-C is sent to the run only, which then stops the server.
        start_new_session=True,
        env={
            **services,
            **NO_BLOCKS,
            # Else any web page in a browser on this machine could use it.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}",
            **os.environ,
            **settings,
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServiceError(
                f"Prefect's temporary server ended with code {process.returncode} before it "
                "answered: run `mirror doctor`, or run again with --debug to see its messages, or "
                "start a server with `mirror up` and set PREFECT_API_URL"
            )
        if answers(f"{url}/health"):
            return
        time.sleep(POLL_SECONDS)
    raise ServiceError(
        f"Prefect's temporary server did not answer at {url} within {seconds} seconds: set "
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS higher, or start a server with "
        "`mirror up` and set PREFECT_API_URL"
    )


def _flush_logs() -> None:
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.extra"):
        for handler in logging.getLogger(name).handlers:
            handler.flush()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def serve(port: int) -> None:
    """Serve the API until this process is terminated or its parent ends."""
    exit_with_parent()
    import uvicorn
    from prefect.server.api.server import create_app

    _create_tables()
    uvicorn.run(create_app, factory=True, host=HOST, port=port, log_level="error", lifespan="on")


def _create_tables() -> None:
    from filelock import FileLock
    from prefect.server.database.dependencies import provide_database_interface
    from sqlalchemy.exc import SQLAlchemyError

    try:
        # Else of two first runs at the same time one would fail.
        with FileLock(PREFECT_HOME.value() / "tables.lock"):
            asyncio.run(provide_database_interface().create_db())
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        sys.exit(
            f"Prefect's database in {PREFECT_HOME.value()} cannot be used: {reason}: free some "
            "space or correct the folder's permissions, or set MIRROR_HOME to another folder"
        )


if __name__ == "__main__":
    serve(int(sys.argv[1]))
