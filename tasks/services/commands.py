"""How each of the servers and workers is started: command and environment."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from tasks.environment import LOGGERS, MLFLOW_DEFAULTS, PREFECT_DEFAULTS
from tasks.services import POOL
from tasks.services.database import VARIABLE, Database
from tasks.services.prefect_server import bare_name
from tasks.services.processes import Launch
from tasks.services.state import LOOPBACK, MLFLOW, PREFECT, WORKER, ServerState

MLFLOW_PROCESSES = "1"
"""It serves from threads; a second process would take as much memory again."""
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
"""Where the places of deployments that run at most so many times at once are noted."""
OTHERS = (
    VARIABLE,
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_REGISTRY_STORE_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_TRACKING_URI",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_PASSWORD",
    "PREFECT_API_KEY",
    "PREFECT_PROFILE",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DATABASE_PASSWORD",
)
"""What speaks of another server or of secrets that a process does not need."""
ORIGINS = ("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS")
"""Both mean from which pages a browser lets scripts speak to the server; any, if none is set."""
LOGIN_SETTINGS = """[mlflow]
default_permission = READ
database_uri = {}
"""
LOGINS = (
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "PREFECT_SERVER_API_AUTH_STRING",
)


def launch_of(name: str, state: ServerState, folder: Path, database: Database | None) -> Launch:
    """How to start `prefect`, `mlflow`, or a worker of some number."""
    make = {PREFECT: _prefect, MLFLOW: _mlflow}.get(name, _worker)
    environment = {key: value for key, value in os.environ.items() if key not in OTHERS}
    if make is _worker:
        environment = {key: value for key, value in environment.items() if key not in LOGINS}
    # Theirs to ask each other, wherever a proxy stands between them and the world.
    direct = [environment.get("NO_PROXY", ""), "127.0.0.1", "localhost"]
    environment |= {
        "NO_PROXY": ",".join(filter(None, direct)),
        "DO_NOT_TRACK": "true",
        "PREFECT_HOME": str(folder / PREFECT),
        "PREFECT_API_URL": f"{state.prefect_url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONUNBUFFERED": "1",
    }
    arguments, own = make(name, state, folder, database)
    return Launch(
        name,
        [sys.executable, "-m", *arguments],
        environment | own,
        folder / (WORKER if make is _worker else name),
        log_of(folder, name),
    )


def log_of(folder: Path, name: str) -> Path:
    """Where a process's log is."""
    return folder / "logs" / f"{name}.log"


def _prefect(
    _name: str, state: ServerState, folder: Path, database: Database | None
) -> tuple[list[str], dict[str, str]]:
    url = f"sqlite+aiosqlite:///{folder / PREFECT / 'prefect.db'}"
    own = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.prefect_url if database else url,
        # In memory, as is its default, they would be gone with a server that is killed, and the
        # runs that hold them would be ended within minutes.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
    }
    port = str(state.prefect_port)
    if not any(os.environ.get(name) for name in ORIGINS):
        # Else any page that a browser on this machine shows could have workers run what it likes.
        places = (state.client_host, LOOPBACK, "localhost")
        own[ORIGINS[0]] = ",".join(dict.fromkeys(f"http://{place}:{port}" for place in places))
    own["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return ["tasks.services.prefect_server", state.host, port, *_own_names(state)], own


def _own_names(state: ServerState) -> list[str]:
    """By which Prefect's server may be called; any where it asks who calls."""
    if state.authenticated:
        return []
    told = os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")
    known = (LOOPBACK, "localhost", "[::1]", state.client_host)
    return sorted({bare_name(name.strip()) for name in (*known, *told)} - {""})


def _mlflow(
    _name: str, state: ServerState, folder: Path, database: Database | None
) -> tuple[list[str], dict[str, str]]:
    url = f"sqlite:///{folder / MLFLOW / 'mlflow.db'}"
    own = {
        **MLFLOW_DEFAULTS,
        "MLFLOW_BACKEND_STORE_URI": database.mlflow_url if database else url,
        # Else it would run code that a client sends it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    arguments = ["mlflow", "server", "--host", state.host, "--port", str(state.mlflow_port)]
    arguments += ["--workers", MLFLOW_PROCESSES, "--serve-artifacts"]
    arguments += ["--artifacts-destination", str(folder / MLFLOW / "artifacts")]
    if state.authenticated:
        arguments += ["--app-name", "basic-auth"]
        key = os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or secrets.token_hex(32)
        own["MLFLOW_FLASK_SERVER_SECRET_KEY"] = key
        if database and not os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
            own |= _logins_in(database, folder / MLFLOW)
    return arguments, own


def _logins_in(database: Database, folder: Path) -> dict[str, str]:
    """Has MLflow keep its logins in PostgreSQL too; their file has no password, as all files."""
    path = folder / "login.ini"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(LOGIN_SETTINGS.format(database.login_url.replace("%", "%%")), "utf-8")
    password = {"PGPASSWORD": database.password} if database.password else {}
    return {"MLFLOW_AUTH_CONFIG_PATH": str(path), **password}


def _worker(
    name: str, state: ServerState, folder: Path, _database: Database | None
) -> tuple[list[str], dict[str, str]]:
    own = {
        "MIRROR_HOME": str(folder.parent),
        "MLFLOW_TRACKING_URI": state.mlflow_url,
        # Prefect's server says so while its database is away; runs wait for a minute.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": os.environ.get(
            "PREFECT_CLIENT_RETRY_EXTRA_CODES", "500"
        ),
        # Here, for in a run's process Prefect has read its settings before we are imported.
        LOGGERS: os.environ.get(LOGGERS, PREFECT_DEFAULTS[LOGGERS]),
    }
    if state.authenticated:
        own |= {
            "PREFECT_API_AUTH_STRING": os.environ["PREFECT_SERVER_API_AUTH_STRING"],
            "MLFLOW_TRACKING_USERNAME": os.environ["MLFLOW_AUTH_ADMIN_USERNAME"],
            "MLFLOW_TRACKING_PASSWORD": os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"],
        }
    arguments = ["prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    return [*arguments, "--name", name, "--install-policy", "never"], own
