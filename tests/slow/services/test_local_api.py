"""Temporary Prefect server: it ends with its run, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from mirror.errors import ServiceError
from mirror.paths import CHECKOUT
from tasks.local_api import temporary_api

Start = Callable[..., "subprocess.Popen[str]"]
RUN = """
import os, sys
from prefect.settings import PREFECT_API_URL
from tasks.local_api import temporary_api

try:
    with temporary_api() as wait_for_api:
        wait_for_api()
        print(PREFECT_API_URL.value(), flush=True)
        sys.stdin.readline()
        if sys.argv[1] == "fail":
            raise ZeroDivisionError("a fault of the run")
finally:
    print(PREFECT_API_URL.value(), flush=True)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without a server, and with a workspace, whose Prefect database is made once."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    kept["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"  # a busy machine's
    return kept | {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start a run that waits for a line once its server has answered."""
    begun: list[subprocess.Popen[str]] = []

    def begin(ending: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, ending],
            env=environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), process.communicate()[1]
    return url


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def is_gone(url: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while answers(url):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize(("ending", "code"), [("well", 0), ("fail", 1)])
def test_the_server_ends_with_its_block(start: Start, ending: str, code: int) -> None:
    process = start(ending)
    url = read_url(process)
    assert answers(url)
    printed, faults = process.communicate("\n", timeout=60)
    assert process.returncode == code
    assert printed == "None\n"
    assert ("ZeroDivisionError: a fault of the run" in faults) == bool(code)
    assert not answers(url)


def test_the_server_ends_with_a_run_that_is_killed(start: Start) -> None:
    process = start("well")
    url = read_url(process)
    assert answers(url)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    assert is_gone(url, 15)


@pytest.fixture
def serve() -> Iterator[Callable[[int], str]]:
    """Start a server that answers everything with one code; gives its address as Prefect's."""
    begun: list[HTTPServer] = []

    def begin(code: int) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code if self.path == "/api/health" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        begun.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/api"

    yield begin
    for server in begun:
        server.shutdown()
        server.server_close()


def test_a_server_that_is_configured_is_used_and_none_started(
    start: Start, serve: Callable[[int], str], tmp_path: Path
) -> None:
    url = serve(200)
    process = start("well", PREFECT_API_URL=url, MIRROR_HOME=str(tmp_path / "home"))
    assert read_url(process) == url
    printed, _ = process.communicate("\n", timeout=60)
    assert printed == f"{url}\n"
    assert not list((tmp_path / "home").rglob("prefect.db"))


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_server_that_wants_a_key_is_there(serve: Callable[[int], str], code: int) -> None:
    url = serve(code)
    with temporary_settings({PREFECT_API_URL: url}), temporary_api() as wait_for_api:
        wait_for_api()
        assert url == PREFECT_API_URL.value()


def test_a_configured_server_that_is_down_is_named_without_its_password() -> None:
    settings = {PREFECT_API_URL: "http://me:secret@127.0.0.1:1/api"}
    refused = pytest.raises(ServiceError, match="start it, or unset PREFECT_API_URL")
    with temporary_settings(settings), refused as fault, temporary_api() as wait_for_api:
        wait_for_api()
    assert "Prefect server at http://127.0.0.1:1/api did not answer (" in str(fault.value)
    assert "refused" in str(fault.value)


def test_a_configured_server_behind_a_gateway_that_has_lost_it_is_down(
    serve: Callable[[int], str],
) -> None:
    refused = pytest.raises(ServiceError, match=r"did not answer \(HTTP 502 Bad Gateway\)")
    settings = {PREFECT_API_URL: serve(502)}
    with temporary_settings(settings), refused, temporary_api() as wait_for_api:
        wait_for_api()


def test_a_server_that_ends_at_once_is_one_clear_error(
    start: Start,
) -> None:
    database = "sqlite+aiosqlite:////proc/no/prefect.db"
    process = start("well", PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
    _, faults = process.communicate("\n", timeout=120)
    assert process.returncode == 1
    assert "Prefect's database in " in faults and "unable to open database file" in faults
    assert "mirror.errors.ServiceError: Prefect's temporary server ended with code 1" in faults
    assert "set PREFECT_API_URL" in faults


def test_a_server_that_is_slow_is_given_up_in_time(
    start: Start,
) -> None:
    process = start("well", PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="1")
    _, faults = process.communicate("\n", timeout=60)
    assert process.returncode == 1
    assert "did not answer at http://127.0.0.1:" in faults
    assert "within 1 seconds: set PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS" in faults
