"""Environment defaults for Prefect and MLflow; values set by the user remain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.paths import CHECKOUT
from tasks.environment import workspace_root

OURS = ("MIRROR_", "MLFLOW_", "PREFECT_", "DO_NOT_TRACK", "OMP_WAIT")
SHOW = """
import json, os, sys
if sys.argv[1] == "worker":
    import prefect
import tasks
print(json.dumps([dict(os.environ), "prefect" in sys.modules, "mlflow" in sys.modules]))
"""

Seen = Callable[..., dict[str, str]]


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """The environment after `tasks` is imported in a folder and process of its own."""

    def run(how: str = "command", **variables: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        paths = {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-c", SHOW, how],
            cwd=tmp_path,
            env=kept | paths | variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        environment, prefect, mlflow = json.loads(done.stdout)
        assert (prefect, mlflow) == (how == "worker", False)
        return dict(environment)

    return run


def test_runs_and_servers_are_kept_in_the_workspace(seen: Seen, tmp_path: Path) -> None:
    environment = seen()
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/home/mlflow.db"
    assert environment["PREFECT_HOME"] == f"{tmp_path}/home/prefect"


def test_telemetry_is_off(seen: Seen) -> None:
    environment = seen()
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["DO_NOT_TRACK"] == "true"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize("how", ["command", "worker"])
def test_waiting_threads_sleep(seen: Seen, how: str) -> None:
    assert seen(how)["OMP_WAIT_POLICY"] == "PASSIVE"
    assert seen(how, OMP_WAIT_POLICY="ACTIVE")["OMP_WAIT_POLICY"] == "ACTIVE"


def test_what_the_user_has_set_stays(seen: Seen) -> None:
    own = {
        "MLFLOW_TRACKING_URI": "http://tracking.example",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7",
        "PREFECT_HOME": "/own/prefect",
    }
    environment = seen(**own)
    assert {key: environment[key] for key in own} == own


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_PROFILE"])
def test_a_configured_server_keeps_its_prefect_home(seen: Seen, name: str) -> None:
    assert "PREFECT_HOME" not in seen(**{name: "mine"})


def test_in_a_worker_prefect_is_as_the_worker_has_it(seen: Seen, tmp_path: Path) -> None:
    environment = seen("worker")
    assert not [key for key in environment if key.startswith("PREFECT_")]
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/home/mlflow.db"


def test_the_workspace_is_mirror_home_or_in_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIRROR_HOME", "near")
    assert workspace_root() == tmp_path / "near"
    monkeypatch.setenv("MIRROR_HOME", "")
    assert workspace_root() == CHECKOUT / ".mirror"
    monkeypatch.delenv("MIRROR_HOME")
    assert workspace_root() == CHECKOUT / ".mirror"
