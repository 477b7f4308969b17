"""Prefect's API for one run, where the user has no server.

Prefect would start one itself, but only when the flow is called, and after importing all of it
here too; and it would outlive a run that is killed.  Ours starts at once, beside other work, and
ends with the process that started it, however that ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import HTTPError as AnswerError
from urllib.error import URLError
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
from tasks.network import without_secrets

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
POLL_SECONDS = 0.1
STOP_SECONDS = 5
ANSWER_SECONDS = 5
ROOM_BYTES = 1 << 20
"""SQLite needs less, and a run that leaves so little more than this."""
SERVER_FAULTS = 500
"""Where the codes begin with which a server, or what stands before it, says that it is down."""
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
"""They serve deployments and work pools, of which a run without a server has none."""
NO_BLOCKS = {
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    # Else it would note that they are registered.
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""A run uses none, and two servers at once would both register them, one of them in vain."""


@contextmanager
def temporary_api() -> Iterator[Callable[[], None]]:
    """Gives the block a Prefect API; call what it yields before the first flow.

    Where an API is configured already, that one is used.

    Raises:
        ServiceError: the server does not start, or the one that is configured does not answer, or
            either fails later.
        StoreError: there is no room for what the temporary one keeps.
    """
    if configured := PREFECT_API_URL.value():
        with _faults_told(str(configured)):
            yield lambda: _check_answers(str(configured))
        return
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    process = _start(port)
    try:
        with temporary_settings({PREFECT_API_URL: url}), _faults_told(url, PREFECT_HOME.value()):
            try:
                yield lambda: _wait(process, url)
            finally:
                # Of a run that failed too: else Prefect complains on its way out.
                _send_logs()
    finally:
        _stop(process)


@contextmanager
def _faults_told(url: str, kept: Path | None = None) -> Iterator[None]:
    """What Prefect's client raises within is one of our errors; `kept`: the server's folder."""
    try:
        yield
    except HTTPError as error:
        if kept and kept.is_dir() and shutil.disk_usage(kept).free < ROOM_BYTES:
            raise StoreError(
                f"there is no room for Prefect's database in {kept} (the disk is full): free some "
                "space, or set MIRROR_HOME to another folder, and run again; what is whole is kept"
            ) from error
        said = without_secrets(str(error).partition("\n")[0])
        raise ServiceError(
            f"the Prefect server at {without_secrets(url)} failed while the run was under way "
            f"({said or type(error).__name__}): run again when it answers; what is whole is kept"
        ) from error


def _check_answers(url: str) -> None:
    address = without_secrets(url).rstrip("/")
    try:
        with urlopen(f"{address}/health", timeout=ANSWER_SECONDS):  # noqa: S310 - the user's own
            return
    except AnswerError as answer:
        if answer.code < SERVER_FAULTS:
            return  # it is there, and may want a key, which Prefect knows and we do not
        raise _not_there(address, f"HTTP {answer.code} {answer.reason}") from answer
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, SSLError):
            return  # likewise, and Prefect may have been told of its certificate
        raise _not_there(address, str(reason)) from error


def _not_there(address: str, reason: str) -> ServiceError:
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
        # Ctrl-C is for the run, which then stops the server.
        start_new_session=True,
        env={
            **services,
            **NO_BLOCKS,
            # Else any page in a browser on this machine could speak to it.
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
                "answered: run `mirror doctor`, or again with --debug for its own messages, or "
                "start a server with `prefect server start` and set PREFECT_API_URL"
            )
        try:
            with urlopen(f"{url}/health", timeout=5):  # noqa: S310 - our own address
                return
        except (URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise ServiceError(
        f"Prefect's temporary server did not answer at {url} within {seconds} seconds: set "
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS higher, or start a server with "
        "`prefect server start` and set PREFECT_API_URL"
    )


def _send_logs() -> None:
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
    """Serves the API until told to stop or until whoever holds our standard input is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    _make_tables()
    uvicorn.run(create_app, factory=True, host=HOST, port=port, log_level="error", lifespan="on")


def _make_tables() -> None:
    from filelock import FileLock
    from prefect.server.database.dependencies import provide_database_interface
    from sqlalchemy.exc import SQLAlchemyError

    try:
        # Two first runs at once would both make them, and one would fail.
        with FileLock(PREFECT_HOME.value() / "tables.lock"):
            asyncio.run(provide_database_interface().create_db())
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        sys.exit(
            f"Prefect's database in {PREFECT_HOME.value()} cannot be used: {reason}: free some "
            "space or allow the folder, or set MIRROR_HOME to another"
        )


def _end_with_parent() -> None:
    # Not through sys.stdin, whose lock would be held while the interpreter shuts down.
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
