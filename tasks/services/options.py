"""Options of `mirror up`, the state of the services, and checks before anything starts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from mirror.atomic_write import atomic_file
from mirror.errors import InputError, StoreError
from mirror.store import flush
from tasks.network import bracketed, check_address, is_loopback
from tasks.services import MLFLOW, PREFECT, WORKER
from tasks.services.database import VARIABLE, Database

LOOPBACK = "127.0.0.1"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
LOGIN_VARIABLES = (
    "PREFECT_SERVER_API_AUTH_STRING",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
)
STATE = "state.json"


@dataclass(frozen=True)
class ServiceOptions:
    """Options of `mirror up`; None means as it runs now, or the default."""

    host: str | None = None
    prefect_port: int | None = None
    mlflow_port: int | None = None
    workers: int | None = None
    database: Database | None = None


@dataclass(frozen=True)
class ServiceState:
    """Settings that the services run with, secrets excluded."""

    host: str
    prefect_port: int
    mlflow_port: int
    database: str
    """The PostgreSQL address without its password; empty for SQLite files."""
    authenticated: bool
    """Whether both servers require a login."""
    worker_count: int = 1

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the workers."""
        return tuple(f"{WORKER}-{number}" for number in range(1, self.worker_count + 1))

    @property
    def client_host(self) -> str:
        """The host in the addresses that clients on this machine use."""
        if self.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            return LOOPBACK
        return bracketed(self.host)

    @property
    def prefect_url(self) -> str:
        """The address of Prefect's UI; its API is below `/api`."""
        return f"http://{self.client_host}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow's UI and API."""
        return f"http://{self.client_host}:{self.mlflow_port}"


def resolve_options(options: ServiceOptions, known: ServiceState | None) -> ServiceState:
    """Return the state to run with: the options, else the known state, else the defaults."""
    if options.host is not None and not options.host.strip():
        raise InputError(f"--host is empty: give an address, or leave it out for {LOOPBACK}")
    database = options.database.without_password if options.database else ""
    if known is None:
        host = options.host or LOOPBACK
        ports = options.prefect_port or PREFECT_PORT, options.mlflow_port or MLFLOW_PORT
        return ServiceState(host, *ports, database, _has_login(host), options.workers or 1)
    requested = {
        "host": options.host,
        "Prefect port": options.prefect_port,
        "MLflow port": options.mlflow_port,
        "database": database or None,
    }
    current = (known.host, known.prefect_port, known.mlflow_port, known.database or "SQLite files")
    for (name, value), actual in zip(requested.items(), current, strict=True):
        if value is not None and value != actual:
            raise InputError(
                f"{name} {value}: the services run with {actual}: run `mirror down` first"
            )
    return replace(known, worker_count=options.workers or known.worker_count)


def _has_login(host: str) -> bool:
    missing = [name for name in LOGIN_VARIABLES if not os.environ.get(name)]
    if not missing:
        if find_spec("flask_wtf") is None:
            raise InputError(
                "MLflow's login needs Flask-WTF: pip install -c constraints.txt -e '.[login]'"
            )
        return True
    if is_loopback(host) and len(missing) == len(LOGIN_VARIABLES):
        return False
    why = "a login for one server only leaves the other open"
    if not is_loopback(host):
        why = f"on {host} others can reach the servers"
    raise InputError(
        f"{why}: set {', '.join(missing)} too (Prefect's is USER:PASSWORD)"
        + (f", or leave out --host to bind to {LOOPBACK}" if not is_loopback(host) else "")
    )


def check_secrets(state: ServiceState, database: Database | None) -> None:
    """Check that the environment has the secrets of a state, which does not contain them."""
    if state.database and database is None:
        raise InputError(
            f"the services use the database {state.database}: set {VARIABLE} to start them again"
        )
    missing = [name for name in LOGIN_VARIABLES if not os.environ.get(name)]
    if state.authenticated and missing:
        raise InputError(f"the services were started with a login: set {', '.join(missing)}")


def check_ports(state: ServiceState, missing: list[str]) -> None:
    """Check that the ports of the servers to be started are free."""
    ports = {PREFECT: state.prefect_port, MLFLOW: state.mlflow_port}
    if state.prefect_port == state.mlflow_port:
        raise InputError(f"port {state.prefect_port} is given for both servers: give two ports")
    for name in (name for name in missing if name in ports):
        check_address(state.host, ports[name], f"--{name}-port")


def read_state(folder: Path) -> ServiceState | None:
    """Return the state of the services; None if they were never started, or were stopped."""
    path = folder / STATE
    try:
        return ServiceState(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}), so the services' settings are unknown: end their "
            "processes, then remove the file"
        ) from error


def write_state(folder: Path, state: ServiceState) -> None:
    """Write the state in one step."""
    with atomic_file(folder / STATE) as draft:
        draft.touch(0o600)
        draft.write_text(json.dumps(asdict(state), indent=1), "utf-8")
    flush(folder)


def remove_state(folder: Path) -> None:
    """Remove the state once the services are stopped."""
    (folder / STATE).unlink(missing_ok=True)
    flush(folder)
