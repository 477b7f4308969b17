"""`mirror up` and `mirror down` with the real servers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tasks.services.supervisor import Supervisor
from tests.fixtures.team import Team
from tests.fixtures.team import make_team as make_team

pytestmark = pytest.mark.slow


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
