"""What `mirror up` is asked for, and what can be known to be wrong before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

from mirror.errors import InputError
from tasks.network import check_address, is_loopback
from tasks.services.database import VARIABLE, Database
from tasks.services.state import LOOPBACK, MLFLOW, PREFECT, ServerState, Started

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
LOGIN_VARIABLES = (
    "PREFECT_SERVER_API_AUTH_STRING",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
)


@dataclass(frozen=True)
class ServiceOptions:
    """What is asked for; None is what runs already, or the default."""

    host: str | None = None
    prefect_port: int | None = None
    mlflow_port: int | None = None
    workers: int | None = None
    database: Database | None = None


def resolve_options(wanted: ServiceOptions, known: ServerState | None) -> ServerState:
    """The state to bring about, with the processes that are known of.

    Raises:
        InputError: something else than what is asked for runs already, or a login is lacking.
    """
    if wanted.host is not None and not wanted.host.strip():
        raise InputError(f"--host is empty: name an address, or leave it out for {LOOPBACK}")
    shown = wanted.database.shown if wanted.database else ""
    if known is None:
        host = wanted.host or LOOPBACK
        ports = wanted.prefect_port or PREFECT_PORT, wanted.mlflow_port or MLFLOW_PORT
        return ServerState(host, *ports, shown, authenticated=_has_login(host))
    asked = {
        "host": wanted.host,
        "Prefect port": wanted.prefect_port,
        "MLflow port": wanted.mlflow_port,
        "database": shown or None,
    }
    there = (known.host, known.prefect_port, known.mlflow_port, known.database or "files")
    for (name, value), current in zip(asked.items(), there, strict=True):
        if value is not None and value != current:
            raise InputError(
                f"{name} {value}: the servers were brought up with {current}: `mirror down` first"
            )
    return known


def _has_login(host: str) -> bool:
    lacking = [name for name in LOGIN_VARIABLES if not os.environ.get(name)]
    if not lacking:
        if find_spec("flask_wtf") is None:
            raise InputError(
                "MLflow's login needs Flask-WTF: pip install -c constraints.txt -e '.[login]'"
            )
        return True
    if is_loopback(host) and len(lacking) == len(LOGIN_VARIABLES):
        return False
    why = "a login for one server alone leaves the other open"
    if not is_loopback(host):
        why = f"on {host} others can reach the servers"
    raise InputError(
        f"{why}: set {', '.join(lacking)} too (Prefect's is USER:PASSWORD)"
        + (f", or leave out --host to bind to {LOOPBACK}" if not is_loopback(host) else "")
    )


def check_secrets(state: ServerState, database: Database | None) -> None:
    """Checks that what a start needs and the state does not keep is at hand.

    Raises:
        InputError: a password or a login is lacking.
    """
    if state.database and database is None:
        raise InputError(
            f"the servers keep their state in {state.database}: set {VARIABLE} to start them again"
        )
    lacking = [name for name in LOGIN_VARIABLES if not os.environ.get(name)]
    if state.authenticated and lacking:
        raise InputError(f"the servers were brought up with a login: set {', '.join(lacking)}")


def check_ports(state: ServerState, missing: list[str]) -> None:
    """Checks that the ports of servers that are to be started are free.

    Raises:
        InputError: one is taken, or the host is none of this machine's.
    """
    ports = {PREFECT: state.prefect_port, MLFLOW: state.mlflow_port}
    if state.prefect_port == state.mlflow_port:
        raise InputError(f"port {state.prefect_port} is given for both servers: give two")
    for name in (name for name in missing if name in ports):
        check_address(state.host, ports[name], f"--{name}-port")


def worker_names(wanted: ServiceOptions, known: tuple[Started, ...]) -> list[str]:
    """The workers that there are to be: as many as asked for, else as there were, else one."""
    number = wanted.workers or sum(started.is_worker for started in known) or 1
    return [f"worker-{count}" for count in range(1, number + 1)]
