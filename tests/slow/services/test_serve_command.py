"""`mirror serve`, with MLflow's real server where the test is marked slow."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from flows.cli.serve import PORT, example_call
from mirror.paths import CHECKOUT
from mirror.release.run_record import find_record
from tasks.network import bracketed, is_loopback
from tests.fixtures.ports import free_ports

PAGE = CHECKOUT / "docs" / "serving.md"
COMMAND = "from flows.cli.main import main; main()"
MODEL = "models:/mirror-en-tiny@challenger"


def readme_call() -> str:
    [call] = re.findall(r"^\$ (curl .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return str(call)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def served(
    reference_run: SimpleNamespace, environment_of: Callable[..., dict[str, str]]
) -> Iterator[SimpleNamespace]:
    """The encoder of a first run, served on a free port, from a path without uvicorn."""
    [port] = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", MODEL, "--port", str(port)],
        env=environment_of(reference_run.home, PATH="/usr/bin:/bin", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        message = [server.stdout.readline(), server.stdout.readline()]
        yield SimpleNamespace(port=port, message=message, home=reference_run.home, process=server)
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(30)
    assert code == 130
    with socket.socket() as probe:  # nothing is left that listens
        probe.settimeout(5)
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def call(command: str) -> tuple[int, str]:
    """Status and body of the answer to a call."""
    done = subprocess.run(
        [*shlex.split(command), "--silent", "--write-out", "\n%{http_code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_guarded(mirror, arguments) == 1
    return capsys.readouterr().err


@pytest.mark.slow
def test_the_readmes_call_gets_the_encoders_vectors(served: SimpleNamespace) -> None:
    from mirror.encoders.encoder import Encoder

    status, body = call(readme_call().replace(f":{PORT}/", f":{served.port}/"))
    assert status == 200, body
    encoder = Encoder.load(Path(find_record(served.home).encoder))
    expected = encoder.encode(["How do I reshape an array?"])
    np.testing.assert_allclose(json.loads(body)["predictions"], expected, atol=1e-5)


@pytest.mark.slow
def test_it_says_which_version_answers_and_how_to_call_it(served: SimpleNamespace) -> None:
    address = f"http://127.0.0.1:{served.port}/invocations"
    assert served.message[0] == f"models:/mirror-en-tiny/1 answers at {address}\n"
    assert served.message[1] == f"{example_call(address)}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    ['{"texts": ["a"]}', "not json", '{"inputs": {"a": 1}}', '{"inputs": [null]}'],
)
def test_wrong_input_is_a_400(served: SimpleNamespace, data: str) -> None:
    address = f"http://127.0.0.1:{served.port}/invocations"
    status, body = call(
        f"curl {address} -H 'Content-Type: application/json' -d {shlex.quote(data)}"
    )
    assert status == 400, body


def test_the_readmes_call_is_the_one_that_is_printed() -> None:
    assert readme_call() == example_call(f"http://127.0.0.1:{PORT}/invocations")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "box.example"])
def test_an_address_that_others_reach_wants_a_word(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(["serve", "mirror-x", "--host", host], capsys)
    assert "has no login" in message
    assert "--unprotected" in message


def test_a_port_in_use_is_an_error_before_the_start(
    taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(["serve", "mirror-x", "--port", str(taken_port)], capsys)
    assert f"port {taken_port} of 127.0.0.1 (Address already in use)" in message
    assert "--port" in message


def test_an_address_without_interface_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(["serve", "m", "--host", "192.0.2.7", "--unprotected"], capsys)
    assert "nothing can listen on port 5001 of 192.0.2.7" in message


def test_loopback_addresses_are_recognised() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "localhost.example")))
    assert bracketed("::1") == "[::1]"
    assert bracketed("127.0.0.1") == "127.0.0.1"
