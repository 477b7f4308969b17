"""`mirror up` and `mirror down` with the real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from tasks.services.supervisor import Supervisor, marked_processes

pytestmark = pytest.mark.slow
COMMAND = "from flows.cli.main import main; main()"


@dataclass(frozen=True)
class Team:
    """A workspace whose servers are brought up and down."""

    home: Path
    ports: tuple[int, int]
    environment: dict[str, str]

    def mirror(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=self.home.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def up(self) -> subprocess.CompletedProcess[str]:
        ports = [str(port) for port in self.ports]
        return self.mirror("up", "--prefect-port", ports[0], "--mlflow-port", ports[1])

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.home / "servers" / "state.json").read_text())

    @property
    def pids(self) -> dict[str, int]:
        return Supervisor(self.home / "servers").pids()

    def answers(self) -> list[bytes]:
        found = []
        for port, path in zip(self.ports, ("api/health", "health"), strict=True):
            with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
                found.append(answer.read())
        return found

    def running(self) -> list[list[str]]:
        """Commands of all processes that were started from the workspace."""
        found = [process.cmdline() for process in marked_processes(self.home / "servers")]
        return [command for command in found if command]


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="module")
def make_team(
    tmp_path_factory: pytest.TempPathFactory, environment_of: Callable[..., dict[str, str]]
) -> Callable[..., Team]:
    def make(**variables: str) -> Team:
        home = tmp_path_factory.mktemp("team") / "home"
        environment = environment_of(home, **variables)
        # The servers find packages that are installed outside the checkout too.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        return Team(home, free_ports(), environment)

    return make


@pytest.fixture(scope="module")
def team(make_team: Callable[..., Team]) -> Iterator[Team]:
    """All of it up; the tests of this module change it in their order."""
    made = make_team()
    try:
        made.up()
        yield made
    finally:
        made.mirror("down")


def test_up_tells_what_a_shell_needs_once_all_answers(team: Team) -> None:
    prefect, mlflow = team.ports
    assert team.answers() == [b"true", b"OK"]
    shown = team.up().stdout.splitlines()
    assert shown[-2:] == [
        f"export PREFECT_API_URL=http://127.0.0.1:{prefect}/api",
        f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{mlflow}",
    ]
    assert f"http://127.0.0.1:{prefect}" in shown[0]
    assert f"http://127.0.0.1:{mlflow}" in shown[1]
    assert "1 worker" in shown[0]


def test_up_again_starts_nothing(team: Team) -> None:
    before = team.pids
    done = team.mirror("up")
    assert done.stderr.splitlines()[-1] == "up already"
    assert "starting" not in done.stderr
    assert team.pids == before


def test_all_listen_on_loopback_alone(team: Team) -> None:
    for name in ("prefect", "mlflow"):
        process = psutil.Process(team.pids[name])
        found = [process, *process.children(recursive=True)]
        bound = {
            place.laddr.ip
            for one in found
            for place in one.net_connections("tcp")
            if place.status == psutil.CONN_LISTEN
        }
        assert bound == {"127.0.0.1"}


def test_up_with_other_ports_is_refused(team: Team) -> None:
    before = team.pids
    message = team.mirror("up", "--prefect-port", "4999", code=1).stderr
    assert "Prefect port 4999" in message
    assert "mirror down" in message
    assert team.pids == before


def test_a_port_in_use_stops_up_before_anything_starts(
    team: Team, make_team: Callable[..., Team]
) -> None:
    other = make_team()
    free = other.ports[0]
    arguments = ("--prefect-port", str(free), "--mlflow-port", str(team.ports[1]))
    message = other.mirror("up", *arguments, code=1).stderr
    assert f"nothing can listen on port {team.ports[1]}" in message
    assert "starting" not in message
    assert other.running() == []
    assert not (other.home / "servers" / "state.json").exists()


def test_killed_services_restart_by_themselves(team: Team) -> None:
    before = team.pids
    for name in before:
        os.kill(before[name], signal.SIGKILL)
    end = time.monotonic() + 60
    while set(team.pids) != set(before) or set(team.pids.values()) & set(before.values()):
        assert time.monotonic() < end
        time.sleep(0.3)
    team.up()
    assert team.answers() == [b"true", b"OK"]


def test_up_starts_what_does_not_run(team: Team) -> None:
    before = team.pids
    Supervisor(team.home / "servers").stop(["prefect", "mlflow"], 5)
    deadline = time.monotonic() + 30
    while set(team.pids) != {"worker-1"} and time.monotonic() < deadline:
        time.sleep(0.2)
    assert set(team.pids) == {"worker-1"}
    done = team.up()
    assert "starting prefect" in done.stderr
    assert "starting mlflow" in done.stderr
    assert "starting worker-1" not in done.stderr
    assert team.answers() == [b"true", b"OK"]
    assert team.pids["prefect"] != before["prefect"]


def test_up_starts_all_after_supervisord_was_killed(team: Team) -> None:
    before = team.pids
    os.kill(int((team.home / "servers" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert "starting worker-1" in team.up().stderr
    assert team.answers() == [b"true", b"OK"]
    assert not set(before.values()) & set(team.pids.values())
    assert not [pid for pid in before.values() if psutil.pid_exists(pid)]


def test_doctor_tells_of_servers_workers_and_schedules(team: Team) -> None:
    shown = " ".join(team.mirror("doctor").stdout.split())
    for port in team.ports:
        assert f"http://127.0.0.1:{port} answers" in shown
    assert "mirror: worker-1 online" in shown
    assert "the server differs from prefect.yaml: + run-recipe/en-python-docs" in shown
    team.environment["PREFECT_API_URL"] = f"http://127.0.0.1:{team.ports[0]}/api"
    assert "+ run-recipe/en-python-docs" in team.mirror("deploy", "--yes").stdout
    assert "the server has what prefect.yaml says" in team.mirror("doctor").stdout
    del team.environment["PREFECT_API_URL"]


def test_workers_are_added_and_taken_away(team: Team) -> None:
    assert "2 workers" in team.mirror("up", "--workers", "2").stdout
    assert sorted(team.pids) == ["mlflow", "prefect", "worker-1", "worker-2"]
    done = team.mirror("up", "--workers", "1")
    assert "stopping worker-2" in done.stderr
    assert sorted(team.pids) == ["mlflow", "prefect", "worker-1"]


def test_down_leaves_nothing_running_and_keeps_what_was_made(team: Team) -> None:
    began = time.monotonic()
    assert team.mirror("down").stderr.splitlines()[-1] == "down"
    assert time.monotonic() - began < 20
    assert team.running() == []
    servers = team.home / "servers"
    assert not (servers / "state.json").exists()
    assert (servers / "prefect" / "prefect.db").exists()
    assert (servers / "mlflow" / "mlflow.db").exists()
    assert team.mirror("down").stderr.splitlines()[-1] == "no services were running"


def test_a_password_goes_to_the_servers_and_nowhere_else(
    make_team: Callable[..., Team], postgres: str
) -> None:
    password = postgres.split(":")[2].partition("@")[0]
    team = make_team(MIRROR_DATABASE_URL=postgres)
    try:
        done = team.up()
        assert team.answers() == [b"true", b"OK"]
        commands = team.running()
        assert len(commands) >= 3
        assert password not in json.dumps(commands)
        assert password not in done.stdout + done.stderr
        files = [path for path in (team.home / "servers").rglob("*") if path.is_file()]
        assert {"state.json", "prefect.log", "mlflow.log"} <= {path.name for path in files}
        assert not [path for path in files if password.encode() in path.read_bytes()]
        assert not [path for path in files if path.suffix == ".db"]
        assert team.state["database"] == postgres.replace(f":{password}", "")
        del team.environment["MIRROR_DATABASE_URL"]
        os.kill(int((team.home / "servers" / "supervisord.pid").read_text()), signal.SIGKILL)
        assert "set MIRROR_DATABASE_URL" in team.mirror("up", code=1).stderr
    finally:
        team.mirror("down")
    assert team.running() == []
