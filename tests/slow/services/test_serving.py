"""Served models: checked first, and served until the command ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flows.cli.serve import checked_model
from mirror.errors import BaseModelError
from mirror.paths import CHECKOUT
from tasks.registry import pin_model, register
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.lineage import fetch_lineage
from tests.fixtures.ports import free_ports

MODEL = "mirror-en-trades"
SERVE = """
import sys
from tasks.registry.serving import checked_copy, scoring_server
with (
    checked_copy(sys.argv[1]) as copy,
    scoring_server(copy, "127.0.0.1", int(sys.argv[2])) as server,
):
    print(server.pid, flush=True)
    server.wait()
"""


@pytest.fixture
def registered(
    tracking: str, workspace: Path, make_candidate: Callable[..., RegistrationCandidate]
) -> Callable[..., Any]:
    """Register the encoder of that number."""
    return lambda number, **how: register.fn(make_candidate(number, **how), workspace)


def test_a_name_alone_means_its_champion(registered: Callable[..., Any]) -> None:
    registered(0)
    registered(1, promote=False)
    assert checked_model(MODEL) == f"models:/{MODEL}/1"
    assert checked_model(f"models:/{MODEL}@challenger") == f"models:/{MODEL}/2"
    assert pin_model(f"models:/{MODEL}/2") == f"models:/{MODEL}/2"


def test_a_model_without_champion_is_not_served(registered: Callable[..., Any]) -> None:
    registered(0, promote=False)
    with pytest.raises(BaseModelError, match=f"has no models:/{MODEL}@champion"):
        checked_model(MODEL)


def test_a_damaged_model_is_not_served(registered: Callable[..., Any], workspace: Path) -> None:
    registered(0)
    checked_model(MODEL)
    [weights] = (workspace / "registered").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BaseModelError, match="safetensors"):
        checked_model(MODEL)


def test_a_version_has_its_lineage(registered: Callable[..., Any]) -> None:
    registered(0)
    lineage = fetch_lineage(f"models:/{MODEL}@champion")
    assert lineage["base"] == {"digest": "b" * 64}
    assert lineage["model"]["name"] == MODEL


@pytest.mark.slow
def test_the_scoring_server_ends_when_its_starter_is_killed(
    registered: Callable[..., Any],
) -> None:
    registered(0)
    [port] = free_ports(1)
    starter = subprocess.Popen(
        [sys.executable, "-c", SERVE, f"models:/{MODEL}/1", str(port)],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    group = int(starter.stdout.readline())
    assert can_connect(port)
    assert status_of(port, {"inputs": ["a text"]}) == 200
    assert status_of(port, {"inputs": [None]}) == 400
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    end = time.monotonic() + 20
    while lives(group) or can_connect(port):
        assert time.monotonic() < end, "the server outlived its starter"
        time.sleep(0.1)


def status_of(port: int, content: Any) -> int:
    """Return the status of the answer to a request for vectors."""
    address = f"http://127.0.0.1:{port}/invocations"
    return httpx.post(address, json=content, timeout=60).status_code


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lives(group: int) -> bool:
    """Return whether a process of the group runs; zombies do not count."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
