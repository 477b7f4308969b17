"""Tracking store: clear errors within seconds, without passwords."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from mirror.errors import InputError, ServiceError
from tasks.registry import check_registry
from tasks.registry.client import LINE_CHARACTERS, sqlite_file
from tasks.registry.history import read_history

SECONDS = 15


def ask(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
def import_mlflow() -> None:
    """Import MLflow before the time is taken."""
    import mlflow.store.db.utils  # noqa: F401


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match=r"store postgresql://nowhere\.invalid/a did not answer"):
        ask("postgresql://u:sEcret@nowhere.invalid/a", monkeypatch)


def test_a_closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match=r"did not answer: .*refused.*unset it to keep runs"):
        ask("postgresql://127.0.0.1:1/a", monkeypatch)


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{driver()}://u:sEcret@127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(ServiceError, match="did not answer") as error:
            ask(address, monkeypatch)
    assert "sEcret" not in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_a_password_that_is_not_percent_encoded(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="percent-encode the password") as error:
        ask(f"{scheme}://u:sE/c@ret@127.0.0.1:1/a", monkeypatch)
    assert "sE" not in str(error.value) and "ret@" not in str(error.value)


def test_a_port_that_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="address cannot be read"):
        ask("postgresql://u:p@127.0.0.1:abc/a", monkeypatch)


def test_a_word_is_not_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nonsense is no address: write http://… or sqlite:////…"):
        ask("nonsense", monkeypatch)


def test_a_long_error_is_cut_after_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((InputError, ServiceError), match=" …; ") as error:
        ask("foo://bar", monkeypatch)
    line = str(error.value).partition(": ")[2].rpartition(" …; ")[0]
    assert len(line) <= LINE_CHARACTERS
    assert line.endswith(",") and "foo://bar" in line


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////var/runs/mlflow.db", "/var/runs/mlflow.db"),
        ("sqlite+pysqlite:////var/mlflow.db?mode=rw", "/var/mlflow.db"),
        ("sqlite:///file:/var/mlflow.db?uri=true", "/var/mlflow.db"),
        ("sqlite:///runs.db", str(Path("runs.db").absolute())),
        ("sqlite://", None),
        ("http://host/runs", None),
        ("postgresql:///runs", None),
        ("file:///var/runs", None),
    ],
)
def test_the_file_of_an_sqlite_address(uri: str, file: str | None) -> None:
    assert sqlite_file(uri) == (Path(file) if file else None)


def test_a_store_that_answers(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    check_registry()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"


@pytest.mark.parametrize(
    ("uri", "kind", "message"),
    [
        ("http://127.0.0.1:1", ServiceError, "http://127.0.0.1:1 did not answer: "),
        ("http://me:secret@127.0.0.1:1", ServiceError, "http://127.0.0.1:1 did not answer: "),
        ("sqlite:////proc/no/mlflow.db", InputError, "sqlite:////proc/no/mlflow.db cannot be used"),
        ("nonsense://host/runs", InputError, "nonsense://host/runs"),
        ("oracle://host/runs", InputError, "oracle://host/runs"),
    ],
)
def test_the_error_about_a_store_hides_its_password(
    uri: str, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    with pytest.raises(kind, match="MLFLOW_TRACKING_URI") as error:
        check_registry()
    assert message in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
