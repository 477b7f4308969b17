"""PostgreSQL for both servers: one address, two databases beside the one it names.

Both servers keep the number of their tables' version in a table of the same name, so they cannot
share one.  An address `postgresql://USER:PASSWORD@HOST/mirror` means the databases `mirror_prefect`
and `mirror_mlflow`, which are made if they are missing and the role may make them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mirror.errors import InputError, ServiceError
from tasks.network import check_login, without_secrets

VARIABLE = "MIRROR_DATABASE_URL"
EXAMPLE = "postgresql://HOST:5432/mirror, with USER:PASSWORD@ before HOST"
"""Without a login where one stands: that would be taken out before it is shown."""
CONNECT_SECONDS = 10
MOST_PORT = 65_535


@dataclass(frozen=True)
class Database:
    """An address of PostgreSQL; shown and compared without its password."""

    url: URL

    @property
    def shown(self) -> str:
        """Fit to be shown and kept."""
        return self.url._replace(password=None).render_as_string()

    @property
    def names(self) -> tuple[str, str]:
        """Prefect's database and MLflow's."""
        return f"{self.url.database}_prefect", f"{self.url.database}_mlflow"

    @property
    def prefect_url(self) -> str:
        """For the environment of Prefect's server: it has the password."""
        # asyncpg's name for what everyone else calls sslmode.
        query = {"ssl" if key == "sslmode" else key: value for key, value in self.url.query.items()}
        found = self.url.set(drivername="postgresql+asyncpg", database=self.names[0], query=query)
        return found.render_as_string(hide_password=False)

    @property
    def mlflow_url(self) -> str:
        """For the environment of MLflow's server: it has the password."""
        found = self.url.set(drivername="postgresql+psycopg", database=self.names[1])
        return found.render_as_string(hide_password=False)

    @property
    def login_url(self) -> str:
        """For the file that tells MLflow where it keeps its logins: it has no password."""
        found = self.url.set(drivername="postgresql+psycopg", database=self.names[1])
        return found._replace(password=None).render_as_string(hide_password=False)

    @property
    def password(self) -> str:
        """For the environment of MLflow's server; empty where none is needed."""
        return str(self.url.password or "")


def find_database(given: str | None) -> Database | None:
    """The database that a command or the environment names, or None: then databases are files.

    Raises:
        InputError: it is no address of PostgreSQL, its login is not escaped, or its password
            stands on the command line.
    """
    text = given or os.environ.get(VARIABLE) or ""
    if not text:
        return None
    url = _read(text, "--database" if given else VARIABLE)
    shown = without_secrets(url._replace(password=None).render_as_string())
    if url.get_backend_name() != "postgresql" or not url.database:
        raise InputError(f"database {shown}: write it as {EXAMPLE}")
    if given and url.password is not None:
        raise InputError(
            f"--database {shown}: a password on a command line can be read by everyone on this "
            f"machine: give the address in {VARIABLE} instead"
        )
    if other := set(url.query) - {"sslmode"}:
        raise InputError(f"database {shown}: {', '.join(sorted(other))} is not taken, only sslmode")
    return Database(url.set(drivername="postgresql"))


def _read(text: str, setting: str) -> URL:
    check_login(text, setting)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # What was raised quotes a part of it, which may be of a password.
        raise InputError(f"the database's address cannot be read: write it as {EXAMPLE}") from None
    if url.port is not None and not 1 <= url.port <= MOST_PORT:
        raise InputError(f"{setting}: port {url.port} is none: write the port as 1 to {MOST_PORT}")
    return url


def prepare(database: Database) -> None:
    """Makes the two databases if they are missing.

    Raises:
        InputError: a driver is missing, or the role may not make them.
        ServiceError: PostgreSQL does not answer, or refuses the login.
    """
    if missing := [name for name in ("psycopg", "asyncpg") if find_spec(name) is None]:
        raise InputError(
            f"PostgreSQL needs {' and '.join(missing)}: "
            "pip install -c constraints.txt -e '.[postgres]'"
        )
    import psycopg
    from psycopg import sql

    for name in database.names:
        if _is_there(database, name):
            continue
        try:
            with _connect(database, str(database.url.database)) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.DuplicateDatabase:
            continue
        except psycopg.Error as error:
            raise InputError(
                f"{database.shown} has no database {name}, and it cannot be made "
                f"({_first_line(error)}): have someone who may run `createdb --owner "
                f"{database.url.username} {name}`"
            ) from error


def _is_there(database: Database, name: str) -> bool:
    import psycopg

    try:
        with _connect(database, name):
            return True
    except psycopg.OperationalError as error:
        if f'database "{name}" does not exist' in str(error):
            return False
        raise ServiceError(
            f"PostgreSQL at {database.shown} cannot be used ({_first_line(error)}): start it, or "
            f"correct {VARIABLE}"
        ) from error


def _connect(database: Database, name: str) -> Any:
    import psycopg

    url = database.url.set(database=name).render_as_string(hide_password=False)
    return psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True)


def _first_line(error: Exception) -> str:
    return without_secrets(str(error).strip().partition("\n")[0])
