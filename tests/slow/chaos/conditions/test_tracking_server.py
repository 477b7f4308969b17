"""A tracking server that stops after tuning and is started again, and one of two workspaces."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
AWAY_SECONDS = 3.0
RECORDING = """
import os, sys
from pathlib import Path
import tasks.retries as retries

if sys.argv.pop(1) == "impatient":
    retries.RETRIES.update(retries=1, retry_delay_seconds=[1.0])

from flows.cli.main import main
from tasks.registry import run_logging

first = run_logging._log_metrics
def stop_here(*given):
    run_logging._log_metrics = first
    Path(arguments[0]).touch()
    os.read(0, 1)
    first(*given)
run_logging._log_metrics = stop_here
arguments, sys.argv[3:] = sys.argv[3:], []
main()
"""


@pytest.fixture
def begin(
    recipe: Path,
    environment_of: Callable[..., dict[str, str]],
    prefect_api: str,
    tracking_server: Any,
    tmp_path: Path,
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run, and returns when it has begun to record what it made."""
    started: list[subprocess.Popen[str]] = []

    def start(home: Path, how: str = "patient") -> subprocess.Popen[str]:
        servers = {"PREFECT_API_URL": prefect_api, "MLFLOW_TRACKING_URI": tracking_server.url}
        mark = tmp_path / f"recording-{len(started)}"
        process = subprocess.Popen(
            [sys.executable, "-c", RECORDING, how, "run", str(recipe), str(mark)],
            env=environment_of(home, **servers),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        while not mark.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_run_waits_for_a_server_that_is_away_and_registers_once(
    begin: Callable[..., subprocess.Popen[str]],
    seeded: Callable[[Path], Path],
    run_here: Callable[..., Any],
    recipe: Path,
    tracking_server: Any,
    registered: Callable[[], SimpleNamespace],
    tmp_path: Path,
) -> None:
    home = seeded(tmp_path / "home")
    impatient = begin(home, "impatient")
    tracking_server.kill()
    _, errors = impatient.communicate("go on\n", timeout=200)
    assert impatient.returncode == 1, errors
    assert f"warning: the tracking store {tracking_server.url} did not answer" in errors
    assert "trying again in 1 s (1 of 1)" in errors
    assert f"error: the tracking store {tracking_server.url} did not answer" in errors
    assert "start it, or set MLFLOW_TRACKING_URI" in errors
    refused = run_here(recipe, home, MLFLOW_TRACKING_URI=tracking_server.url)
    assert refused.returncode == 1
    assert f"the tracking store {tracking_server.url} did not answer" in refused.stderr
    tracking_server.start()

    patient = begin(home)
    tracking_server.kill()
    back = threading.Timer(AWAY_SECONDS, tracking_server.start)
    back.start()
    began = time.monotonic()
    out, errors = patient.communicate("go on\n", timeout=300)
    assert patient.returncode == 0, errors
    assert time.monotonic() - began > AWAY_SECONDS
    back.join()
    assert "did not answer" in errors
    assert "trying again in 2 s (1 of 5)" in errors
    assert "9 of 9 stages reused" in out
    found = registered()
    [version] = found.versions
    [finished] = found.finished
    assert version.run_id == finished.info.run_id
    assert version.tags["promotion_status"] == "not promoted"
    assert found.running == []
    assert found.aliases == {"challenger": str(version.version)}
    assert find_record(home).model == f"models:/{MODEL}/1"


def test_an_encoder_that_two_workspaces_make_at_once_is_one_version(
    recipe: Path,
    seeded: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
    tracking_server: Any,
    registered: Callable[[], SimpleNamespace],
    tmp_path: Path,
) -> None:
    homes = [seeded(tmp_path / name) for name in ("one", "other")]
    servers = {"PREFECT_API_URL": prefect_api, "MLFLOW_TRACKING_URI": tracking_server.url}
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(mirror_run, recipe, home, **servers) for home in homes]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    found = registered()
    [version] = found.versions
    [finished] = found.finished
    assert version.run_id == finished.info.run_id
    assert found.running == []
    assert found.aliases == {"challenger": str(version.version)}
    assert found.models == [MODEL]
    for home in homes:
        record = find_record(home)
        assert record.model == f"models:/{MODEL}/{version.version}"
        assert all(line.reused for line in record.stages)
