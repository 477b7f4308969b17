"""One address of PostgreSQL becomes two databases; its password goes nowhere."""

from __future__ import annotations

import pytest

from mirror.errors import InputError, ServiceError
from tasks.servers.database import Database, find_database, prepare

WORD = "a-p@ss:w/rd"
ADDRESS = "postgresql://ann:a-p%40ss%3Aw%2Frd@db.example:5433/team?sslmode=require"


@pytest.fixture(autouse=True)
def none_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR_DATABASE_URL", raising=False)


def found(url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("MIRROR_DATABASE_URL", url)
    database = find_database(None)
    assert database is not None
    return database


def test_without_an_address_the_databases_are_files() -> None:
    assert find_database(None) is None


def test_each_server_has_a_driver_and_a_database_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = found(ADDRESS, monkeypatch)
    place = "ann:a-p%40ss%3Aw%2Frd@db.example:5433"
    assert database.prefect_url == f"postgresql+asyncpg://{place}/team_prefect?ssl=require"
    assert database.mlflow_url == f"postgresql+psycopg://{place}/team_mlflow?sslmode=require"


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    database = found(ADDRESS, monkeypatch)
    assert database.shown == "postgresql://ann@db.example:5433/team?sslmode=require"
    assert WORD not in repr(database)


@pytest.mark.parametrize(
    "url",
    ["mysql://ann:word@db/team", "postgresql://ann:word@db", "sqlite:///a.db", "team", "://word"],
)
def test_other_addresses_are_refused_without_their_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="write it as postgresql://") as told:
        found(url, monkeypatch)
    assert "ann:word" not in str(told.value)


def test_options_that_one_driver_would_not_know_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match="options is not taken"):
        found("postgresql://ann@db/team?options=-c", monkeypatch)


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(InputError, match="MIRROR_DATABASE_URL") as told:
        find_database("postgresql://ann:word@db/team")
    assert "word@" not in str(told.value)
    assert find_database("postgresql://ann@db/team") is not None


def test_both_databases_are_made_once(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    database = found(postgres, monkeypatch)
    prepare(database)
    prepare(database)
    for name in ("prefect", "mlflow"):
        with psycopg.connect(f"{postgres}_{name}") as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (f"mirror_{name}",)


def test_a_role_that_may_not_make_databases_is_told_which(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE small LOGIN PASSWORD 'tiny-word'")
        connection.execute("CREATE DATABASE small OWNER small")
    place = postgres.rpartition("@")[2].replace("/mirror", "/small")
    database = found(f"postgresql://small:tiny-word@{place}", monkeypatch)
    with pytest.raises(InputError, match=r"no database small_prefect.*createdb --owner small"):
        prepare(database)


def test_a_wrong_password_is_told_but_not_shown(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.rpartition("@")[2]
    database = found(f"postgresql://mirror:wrong-word@{place}", monkeypatch)
    with pytest.raises(ServiceError, match=r"cannot be used.*password authentication") as told:
        prepare(database)
    assert "wrong-word" not in str(told.value)
