"""Options of `mirror up`, the state file, and refusals before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from mirror.errors import InputError, StoreError
from tasks.services.database import Database
from tasks.services.options import (
    LOGIN_VARIABLES,
    ServiceOptions,
    ServiceState,
    check_ports,
    check_secrets,
    read_state,
    remove_state,
    resolve_options,
    write_state,
)

KNOWN = ServiceState("127.0.0.1", 4201, 5001, "", False, worker_count=2)
DATABASE = Database(make_url("postgresql://ann:word@db.example/team"))


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LOGIN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def log_in(monkeypatch: pytest.MonkeyPatch, count: int = 3) -> None:
    for name in LOGIN_VARIABLES[:count]:
        monkeypatch.setenv(name, "somebody:a-word")


def test_the_default_is_loopback_and_the_usual_ports() -> None:
    assert resolve_options(ServiceOptions(), None) == ServiceState(
        "127.0.0.1", 4200, 5000, "", authenticated=False
    )


def test_the_known_state_stays_without_options() -> None:
    assert resolve_options(ServiceOptions(), KNOWN) == KNOWN
    assert resolve_options(ServiceOptions(host="127.0.0.1", prefect_port=4201), KNOWN) == KNOWN


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ServiceOptions(mlflow_port=5002), "MLflow port 5002.*5001"),
        (ServiceOptions(host="localhost"), "host localhost.*127"),
        (ServiceOptions(database=DATABASE), r"database postgresql://ann@db\.example/team.*files"),
    ],
)
def test_options_unlike_the_state_are_refused(options: ServiceOptions, message: str) -> None:
    with pytest.raises(InputError, match=f"{message}.*mirror down"):
        resolve_options(options, KNOWN)


@pytest.mark.parametrize("host", ["", " "])
@pytest.mark.parametrize("known", [None, KNOWN])
def test_an_empty_host_is_not_taken_for_the_default(host: str, known: ServiceState | None) -> None:
    with pytest.raises(InputError, match="--host is empty: give an address"):
        resolve_options(ServiceOptions(host=host), known)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "box.example"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_other_addresses_require_a_login_for_both_servers(
    host: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, count)
    with pytest.raises(InputError, match=f"others can reach.*{LOGIN_VARIABLES[count]}"):
        resolve_options(ServiceOptions(host=host), None)


def test_a_login_for_one_server_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, 1)
    with pytest.raises(InputError, match="leaves the other open"):
        resolve_options(ServiceOptions(), None)


def test_other_addresses_are_accepted_with_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask_wtf")
    log_in(monkeypatch)
    assert resolve_options(ServiceOptions(host="0.0.0.0"), None).authenticated


def test_a_missing_login_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ServiceState("0.0.0.0", 1, 2, "", authenticated=True)
    with pytest.raises(InputError, match="MLFLOW_AUTH_ADMIN_PASSWORD"):
        check_secrets(state, None)
    log_in(monkeypatch)
    check_secrets(state, None)


def test_a_missing_database_password_is_an_error() -> None:
    state = ServiceState("127.0.0.1", 1, 2, DATABASE.without_password, authenticated=False)
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
def test_a_port_in_use_is_an_error(name: str, taken: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    ports = (taken, free) if name == "prefect" else (free, taken)
    state = ServiceState("127.0.0.1", *ports, "", authenticated=False)
    with pytest.raises(InputError, match=f"port {taken} .*--{name}-port"):
        check_ports(state, ["prefect", "mlflow"])
    check_ports(state, [other for other in ("prefect", "mlflow") if other != name])


def test_one_port_for_both_is_refused() -> None:
    with pytest.raises(InputError, match="both servers"):
        check_ports(ServiceState("127.0.0.1", 4200, 4200, "", False), [])


def test_there_are_as_many_workers_as_requested_or_as_before() -> None:
    assert resolve_options(ServiceOptions(), None).workers == ("worker-1",)
    assert resolve_options(ServiceOptions(), KNOWN).workers == ("worker-1", "worker-2")
    assert resolve_options(ServiceOptions(workers=1), KNOWN).workers == ("worker-1",)


def test_a_state_that_was_written_is_read(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(tmp_path, KNOWN)
    assert read_state(tmp_path) == KNOWN
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    remove_state(tmp_path)
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"host": 1}'])
def test_a_damaged_state_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StoreError, match=r"state\.json cannot be read.*end their processes"):
        read_state(tmp_path)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4200"),
        ("0.0.0.0", "http://127.0.0.1:4200"),
        ("::1", "http://[::1]:4200"),
        ("box.example", "http://box.example:4200"),
    ],
)
def test_clients_use_an_address_that_leads_to_the_server(host: str, url: str) -> None:
    assert ServiceState(host, 4200, 5000, "", False).prefect_url == url
