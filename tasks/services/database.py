"""PostgreSQL for both servers: one address, two databases.

Both servers keep their schema version in a table of the same name, so they cannot share one
database.  The address `postgresql://USER:PASSWORD@HOST/mirror` means the databases
`mirror_prefect` and `mirror_mlflow`, which are created if the role may create them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mirror.errors import InputError, ServiceError
from mirror.secrets import without_secrets
from tasks.network import check_login

VARIABLE = "MIRROR_DATABASE_URL"
EXAMPLE = "postgresql://HOST:5432/mirror, with USER:PASSWORD@ before HOST"
"""Without a login: one would be removed before the message is shown."""
CONNECT_SECONDS = 10
MAX_PORT = 65_535


@dataclass(frozen=True)
class Database:
    """A PostgreSQL address."""

    url: URL

    @property
    def without_password(self) -> str:
        """The address for messages and the state file."""
        return self.url._replace(password=None).render_as_string()

    @property
    def names(self) -> tuple[str, str]:
        """Names of Prefect's database and MLflow's."""
        return f"{self.url.database}_prefect", f"{self.url.database}_mlflow"

    @property
    def prefect_url(self) -> str:
        """Address with password, for the environment of Prefect's server."""
        # asyncpg calls sslmode ssl.
        query = {"ssl" if key == "sslmode" else key: value for key, value in self.url.query.items()}
        url = self.url.set(drivername="postgresql+asyncpg", database=self.names[0], query=query)
        return url.render_as_string(hide_password=False)

    @property
    def mlflow_url(self) -> str:
        """Address with password, for the environment of MLflow's server."""
        url = self.url.set(drivername="postgresql+psycopg", database=self.names[1])
        return url.render_as_string(hide_password=False)

    @property
    def login_url(self) -> str:
        """Address without password, for MLflow's login settings."""
        url = self.url.set(drivername="postgresql+psycopg", database=self.names[1])
        return url._replace(password=None).render_as_string(hide_password=False)

    @property
    def password(self) -> str:
        """The password, or an empty string."""
        return str(self.url.password or "")


def find_database(option: str | None) -> Database | None:
    """Return the database of `--database` or the environment; None means SQLite files.

    Raises:
        InputError: it is not a PostgreSQL address, its login is not percent-encoded, or its
            password is on the command line.
    """
    text = option or os.environ.get(VARIABLE) or ""
    if not text:
        return None
    url = _read(text, "--database" if option else VARIABLE)
    shown = without_secrets(url._replace(password=None).render_as_string())
    if url.get_backend_name() != "postgresql" or not url.database:
        raise InputError(f"database {shown}: write it as {EXAMPLE}")
    if option and url.password is not None:
        raise InputError(
            f"--database {shown}: a password on a command line can be read by everyone on this "
            f"machine: set {VARIABLE} to the address instead"
        )
    if other := set(url.query) - {"sslmode"}:
        raise InputError(
            f"database {shown}: {', '.join(sorted(other))} is not supported: only sslmode is"
        )
    return Database(url.set(drivername="postgresql"))


def _read(text: str, setting: str) -> URL:
    check_login(text, setting)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The error quotes a part of the address, which may be of the password.
        raise InputError(f"the database's address cannot be read: write it as {EXAMPLE}") from None
    if url.port is not None and not 1 <= url.port <= MAX_PORT:
        raise InputError(f"{setting}: {url.port} is not a port: write the port as 1 to {MAX_PORT}")
    return url


def create_databases(database: Database) -> None:
    """Create the two databases if they are missing.

    Raises:
        InputError: a driver is missing, or the role may not create them.
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
        if _exists(database, name):
            continue
        try:
            with _connect(database, str(database.url.database)) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.DuplicateDatabase:
            continue
        except psycopg.Error as error:
            raise InputError(
                f"{database.without_password} has no database {name}, and it cannot be created "
                f"({_first_line(error)}): ask an administrator to run `createdb --owner "
                f"{database.url.username} {name}`"
            ) from error


def _exists(database: Database, name: str) -> bool:
    import psycopg

    try:
        with _connect(database, name):
            return True
    except psycopg.OperationalError as error:
        if f'database "{name}" does not exist' in str(error):
            return False
        raise ServiceError(
            f"PostgreSQL at {database.without_password} cannot be used ({_first_line(error)}): "
            f"start it, or correct {VARIABLE}"
        ) from error


def _connect(database: Database, name: str) -> Any:
    import psycopg

    url = database.url.set(database=name).render_as_string(hide_password=False)
    return psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True)


def _first_line(error: Exception) -> str:
    return without_secrets(str(error).strip().partition("\n")[0])
