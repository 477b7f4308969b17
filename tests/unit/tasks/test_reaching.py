"""An address that no tracking store has is told in seconds, and without its password."""

from __future__ import annotations

import socket
import time

import pytest

from mirror.errors import InputError, ServiceError
from tasks.registry.client import LINE_CHARACTERS
from tasks.registry.history import read_history

SECONDS = 15


def asked(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    try:
        read_history("some-model")
    finally:
        assert time.monotonic() - began < SECONDS


def driver() -> str:
    pytest.importorskip("psycopg")
    return "postgresql+psycopg"


@pytest.fixture(scope="module", autouse=True)
def mlflow_is_imported() -> None:
    """Its seconds are not those of an answer."""
    import mlflow.store.db.utils  # noqa: F401


def test_a_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match=r"store postgresql://nowhere\.invalid/a did not answer"):
        asked("postgresql://u:sEcret@nowhere.invalid/a", monkeypatch)


def test_a_port_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match=r"did not answer: .*refused.*unset it to keep runs"):
        asked("postgresql://127.0.0.1:1/a", monkeypatch)


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{driver()}://u:sEcret@127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(ServiceError, match="did not answer") as told:
            asked(address, monkeypatch)
    assert "sEcret" not in str(told.value)


def test_a_login_that_is_refused(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = postgres.rpartition("@")[2]
    with pytest.raises(ServiceError, match="password authentication failed") as told:
        asked(f"{driver()}://mirror:wrong-word@{place}", monkeypatch)
    assert "wrong-word" not in str(told.value)


def test_a_database_that_answers_is_used(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.registry.reaching import check_address

    check_address(postgres.replace("postgresql", driver()))


def test_a_driver_that_is_missing(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="needs pg8000: install it"):
        asked(postgres.replace("postgresql", "postgresql+pg8000"), monkeypatch)


@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_a_login_that_is_not_escaped(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="percent-encode the password") as told:
        asked(f"{scheme}://u:sE/c@ret@127.0.0.1:1/a", monkeypatch)
    assert "sE" not in str(told.value) and "ret@" not in str(told.value)


def test_a_database_whose_port_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="address cannot be read"):
        asked("postgresql://u:p@127.0.0.1:abc/a", monkeypatch)


def test_a_word_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nonsense is no address: write http://… or sqlite:////…"):
        asked("nonsense", monkeypatch)


def test_what_mlflow_lists_ends_with_a_whole_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((InputError, ServiceError), match=" …; ") as told:
        asked("foo://bar", monkeypatch)
    line = str(told.value).partition(": ")[2].rpartition(" …; ")[0]
    assert len(line) <= LINE_CHARACTERS
    assert line.endswith(",") and "foo://bar" in line
