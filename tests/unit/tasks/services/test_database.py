"""One PostgreSQL address for two databases; its password is never shown."""

from __future__ import annotations

import pytest

from mirror.errors import InputError, ServiceError
from mirror.secrets import without_secrets
from tasks.services.database import Database, create_databases, find_database

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
    assert database.without_password == "postgresql://ann@db.example:5433/team?sslmode=require"
    assert WORD not in repr(database)


@pytest.mark.parametrize(
    "url",
    ["mysql://ann:word@db/team", "postgresql://ann:word@db", "sqlite:///a.db", "team", "://word"],
)
def test_other_addresses_are_refused_without_their_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="write it as postgresql://") as fault:
        found(url, monkeypatch)
    assert "ann:word" not in str(fault.value)


@pytest.mark.parametrize(
    "login", ["u:sE/c@ret", "u:sEc@ret", "u:sEc#ret", "u:sEc?ret", "u:sE cret", "u@corp:sEcret"]
)
def test_a_login_that_is_not_escaped_is_refused_and_no_part_of_it_shown(
    login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="percent-encode the password") as fault:
        found(f"postgresql://{login}@127.0.0.1/mirror", monkeypatch)
    assert not any(part in str(fault.value) for part in ("sE", "ret", "corp"))


@pytest.mark.parametrize("port", ["abc", "sEcret", "54x2"])
def test_an_invalid_port_is_an_error_that_does_not_show_it(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="address cannot be read") as fault:
        found(f"postgresql://u:p@127.0.0.1:{port}/mirror", monkeypatch)
    assert port not in str(fault.value) and fault.value.__suppress_context__


@pytest.mark.parametrize("port", [0, 99_999])
def test_a_port_that_no_machine_has_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="write the port as 1 to 65535"):
        found(f"postgresql://u:p@127.0.0.1:{port}/mirror", monkeypatch)
    assert found("postgresql://u:p@127.0.0.1:65535/mirror", monkeypatch).url.port == 65_535


@pytest.mark.parametrize("url", ["nonsense", "mysql://db/team"])
def test_the_example_is_still_whole_when_secrets_are_taken_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError) as fault:
        found(url, monkeypatch)
    example = "postgresql://HOST:5432/mirror, with USER:PASSWORD@ before HOST"
    assert without_secrets(str(fault.value)).endswith(example)


def test_options_that_one_driver_would_not_know_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match="options is not supported"):
        found("postgresql://ann@db/team?options=-c", monkeypatch)


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(InputError, match="MIRROR_DATABASE_URL") as fault:
        find_database("postgresql://ann:word@db/team")
    assert "word@" not in str(fault.value)
    assert find_database("postgresql://ann@db/team") is not None


def test_both_databases_are_made_once(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    database = found(postgres, monkeypatch)
    create_databases(database)
    create_databases(database)
    for name in ("prefect", "mlflow"):
        with psycopg.connect(f"{postgres}_{name}") as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (f"mirror_{name}",)


def test_a_role_without_createdb_is_an_error_that_names_the_databases(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE small LOGIN PASSWORD 'tiny-word'")
        connection.execute("CREATE DATABASE small OWNER small")
    place = postgres.rpartition("@")[2].replace("/mirror", "/small")
    database = found(f"postgresql://small:tiny-word@{place}", monkeypatch)
    with pytest.raises(InputError, match=r"no database small_prefect.*createdb --owner small"):
        create_databases(database)


def test_a_wrong_password_is_an_error_that_does_not_show_it(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.rpartition("@")[2]
    database = found(f"postgresql://mirror:wrong-word@{place}", monkeypatch)
    with pytest.raises(ServiceError, match=r"cannot be used.*password authentication") as fault:
        create_databases(database)
    assert "wrong-word" not in str(fault.value)
