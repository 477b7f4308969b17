"""Whether a tracking store's address can be used, before MLflow tries it for minutes."""

from __future__ import annotations

import socket
from typing import Any

from mirror.errors import InputError, ServiceError
from mirror.maintenance.network import ADDRESS_REMEDY, is_no_address
from tasks.network import check_login, without_secrets

VARIABLE = "MLFLOW_TRACKING_URI"
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""The databases that MLflow knows beside SQLite, and where they listen."""
CONNECT_SECONDS = 5.0
TIMED_DRIVERS = ("psycopg", "psycopg2", "pymysql", "mysqldb")
"""Those that call their limit `connect_timeout`."""


def check_address(uri: str) -> None:
    """Checks that an address is one, and that the database that it names takes our login.

    MLflow itself asks a database 15 times, in an hour.  Other stores answer, or not, in seconds.

    Raises:
        InputError: it is no address, cannot be read, or there is no driver for its database.
        ServiceError: the database does not answer, or refuses the login.
    """
    if is_no_address(uri):
        raise InputError(f"{VARIABLE}: {without_secrets(uri)} is no address: {ADDRESS_REMEDY}")
    scheme = uri.partition("://")[0].partition("+")[0]
    if scheme in (*PORTS, "http", "https"):
        check_login(uri, VARIABLE)
    if scheme in PORTS:
        _ask_database(uri, PORTS[scheme])


def _ask_database(uri: str, port: int) -> None:
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        # What was raised quotes a part of it, which may be of a password.
        raise InputError(f"{VARIABLE}: the database's address cannot be read: correct it") from None
    shown = without_secrets(uri)
    try:
        if url.host:  # else it is a socket of this machine, or stands in the options
            socket.create_connection((url.host, url.port or port), CONNECT_SECONDS).close()
        if url.get_driver_name() in TIMED_DRIVERS:
            url = url.update_query_dict({"connect_timeout": f"{CONNECT_SECONDS:.0f}"})
        make: Any = create_sqlalchemy_engine
        engine = make(url.render_as_string(hide_password=False))
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise InputError(
            f"{VARIABLE}: {shown} needs {error.name}: install it, or name a driver that is there, "
            "as in postgresql+psycopg://…"
        ) from error
    except (OSError, OverflowError, UnicodeError, SQLAlchemyError) as error:
        first_line = without_secrets(str(error).partition("\n")[0])
        raise ServiceError(
            f"the tracking store {shown} did not answer: {first_line}; start it, or set "
            f"{VARIABLE} to another, or unset it to keep runs in the workspace"
        ) from error
