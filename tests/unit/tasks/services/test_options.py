"""What `mirror up` refuses before it starts anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import make_url

from mirror.errors import InputError
from tasks.services.database import Database
from tasks.services.options import (
    LOGIN_VARIABLES,
    ServiceOptions,
    check_ports,
    check_secrets,
    resolve_options,
    worker_names,
)
from tasks.services.state import ServerState, Started

KNOWN = ServerState("127.0.0.1", 4201, 5001, "", False, (Started("worker-1", 1, 1.0),))
DATABASE = Database(make_url("postgresql://ann:word@db.example/team"))


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LOGIN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def log_in(monkeypatch: pytest.MonkeyPatch, count: int = 3) -> None:
    for name in LOGIN_VARIABLES[:count]:
        monkeypatch.setenv(name, "somebody:a-word")


def test_the_default_is_loopback_and_the_usual_ports() -> None:
    assert resolve_options(ServiceOptions(), None) == ServerState(
        "127.0.0.1", 4200, 5000, "", authenticated=False
    )


def test_what_runs_is_kept_where_nothing_is_asked() -> None:
    assert resolve_options(ServiceOptions(), KNOWN) == KNOWN
    assert (
        resolve_options(ServiceOptions(host="127.0.0.1", prefect_port=4201, workers=4), KNOWN)
        == KNOWN
    )


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (ServiceOptions(mlflow_port=5002), "MLflow port 5002.*5001"),
        (ServiceOptions(host="localhost"), "host localhost.*127"),
        (ServiceOptions(database=DATABASE), r"database postgresql://ann@db\.example/team.*files"),
    ],
)
def test_what_differs_from_what_runs_is_refused(wanted: ServiceOptions, told: str) -> None:
    with pytest.raises(InputError, match=f"{told}.*mirror down"):
        resolve_options(wanted, KNOWN)


@pytest.mark.parametrize("host", ["", " "])
@pytest.mark.parametrize("known", [None, KNOWN])
def test_an_empty_host_is_not_taken_for_the_default(host: str, known: ServerState | None) -> None:
    with pytest.raises(InputError, match="--host is empty: name an address"):
        resolve_options(ServiceOptions(host=host), known)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "box.example"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_other_addresses_want_a_login_for_both_servers(
    host: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, count)
    with pytest.raises(InputError, match=f"others can reach.*{LOGIN_VARIABLES[count]}"):
        resolve_options(ServiceOptions(host=host), None)


def test_a_login_for_one_server_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, 1)
    with pytest.raises(InputError, match="leaves the other open"):
        resolve_options(ServiceOptions(), None)


def test_other_addresses_are_taken_with_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask_wtf")
    log_in(monkeypatch)
    assert resolve_options(ServiceOptions(host="0.0.0.0"), None).authenticated


def test_a_login_that_is_gone_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ServerState("0.0.0.0", 1, 2, "", authenticated=True)
    with pytest.raises(InputError, match="MLFLOW_AUTH_ADMIN_PASSWORD"):
        check_secrets(state, None)
    log_in(monkeypatch)
    check_secrets(state, None)


def test_a_database_whose_password_is_not_at_hand_is_asked_for() -> None:
    state = ServerState("127.0.0.1", 1, 2, DATABASE.shown, authenticated=False)
    with pytest.raises(InputError, match="MIRROR_DATABASE_URL"):
        check_secrets(state, None)
    check_secrets(state, DATABASE)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        yield probe.getsockname()[1]


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_a_port_in_use_is_told(name: str, taken: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    ports = (taken, free) if name == "prefect" else (free, taken)
    state = ServerState("127.0.0.1", *ports, "", authenticated=False)
    with pytest.raises(InputError, match=f"port {taken} .*--{name}-port"):
        check_ports(state, ["prefect", "mlflow"])
    check_ports(state, [other for other in ("prefect", "mlflow") if other != name])


def test_one_port_for_both_is_refused() -> None:
    with pytest.raises(InputError, match="both servers"):
        check_ports(ServerState("127.0.0.1", 4200, 4200, "", False), [])


def test_there_are_as_many_workers_as_asked_for_or_as_before() -> None:
    two = (Started("prefect", 1, 1.0), Started("worker-1", 2, 1.0), Started("worker-2", 3, 1.0))
    assert worker_names(ServiceOptions(), ()) == ["worker-1"]
    assert worker_names(ServiceOptions(), two) == ["worker-1", "worker-2"]
    assert worker_names(ServiceOptions(workers=1), two) == ["worker-1"]
