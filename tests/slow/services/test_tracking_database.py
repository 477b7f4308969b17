"""Tracking store in PostgreSQL: logins and drivers."""

from __future__ import annotations

import pytest

from mirror.errors import InputError, ServiceError
from tasks.registry.client import check_address
from tasks.registry.history import read_history


def driver() -> str:
    pytest.importorskip("psycopg")
    return "postgresql+psycopg"


def ask(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    read_history("some-model")


def test_a_refused_login(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = postgres.rpartition("@")[2]
    with pytest.raises(ServiceError, match="password authentication failed") as error:
        ask(f"{driver()}://mirror:wrong-word@{server}", monkeypatch)
    assert "wrong-word" not in str(error.value)


def test_a_database_that_answers(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_address(postgres.replace("postgresql", driver()))


def test_a_missing_driver(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="needs pg8000: install it"):
        ask(postgres.replace("postgresql", "postgresql+pg8000"), monkeypatch)
