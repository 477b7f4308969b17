"""Command and environment of each service; supervisord runs it as `python -m ... NAME`.

supervisord's own environment has all secrets.  This program becomes the service with only those
that the service needs, so that neither a file nor a command line contains any.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path

from tasks.environment import LOGGERS, MLFLOW_DEFAULTS, PREFECT_DEFAULTS
from tasks.network import answers
from tasks.services import MLFLOW, POOL, PREFECT, WORKER, services_folder
from tasks.services.database import VARIABLE, Database, find_database
from tasks.services.options import LOOPBACK, ServiceState, read_state
from tasks.services.orphaned_runs import end_orphaned_runs
from tasks.services.prefect_server import host_name
from tasks.services.supervisor import NAME_VARIABLE, end_processes

MLFLOW_PROCESSES = "1"
"""MLflow serves from threads; a second process would double its memory."""
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
OTHER_SERVERS = (
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
"""Variables that name another server, or a secret that a service does not need."""
ORIGINS = ("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS")
"""Both name the web origins whose scripts may use the server; Prefect's default is any."""
LOGIN_SETTINGS = """[mlflow]
default_permission = READ
database_uri = {}
"""
SERVER_LOGINS = (
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "PREFECT_SERVER_API_AUTH_STRING",
)
SERVER_SECONDS = 120.0
CHILD_SECONDS = 3.0
Environment = dict[str, str]


def launch_command(
    name: str, state: ServiceState, folder: Path, database: Database | None
) -> tuple[list[str], Environment]:
    """Return the arguments of `python -m` and the environment of one service.

    Args:
        name: `prefect`, `mlflow`, `worker-1` and so on.
        state: settings of the services.
        folder: of the services.
        database: PostgreSQL; None for SQLite files.
    """
    is_worker = name.startswith(WORKER)
    withheld = (*OTHER_SERVERS, *(SERVER_LOGINS if is_worker else ()))
    environment = {key: value for key, value in os.environ.items() if key not in withheld}
    # The services reach each other without the user's proxy.
    direct = [environment.get("NO_PROXY", ""), LOOPBACK, "localhost"]
    environment |= {
        "NO_PROXY": ",".join(filter(None, direct)),
        "DO_NOT_TRACK": "true",
        "PREFECT_HOME": str(folder / PREFECT),
        "PREFECT_API_URL": f"{state.prefect_url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONUNBUFFERED": "1",
    }
    if is_worker:
        arguments, variables = _worker(name, state)
    else:
        arguments, variables = {PREFECT: _prefect, MLFLOW: _mlflow}[name](state, folder, database)
    return arguments, environment | variables


def _prefect(
    state: ServiceState, folder: Path, database: Database | None
) -> tuple[list[str], Environment]:
    url = f"sqlite+aiosqlite:///{folder / PREFECT / 'prefect.db'}"
    variables = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.prefect_url if database else url,
        # By default leases of concurrency slots are in memory: a killed server would lose them,
        # and the runs that hold them would be ended.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
    }
    port = str(state.prefect_port)
    if not any(os.environ.get(name) for name in ORIGINS):
        # Else any web page in a browser on this machine could start runs.
        hosts = (state.client_host, LOOPBACK, "localhost")
        variables[ORIGINS[0]] = ",".join(dict.fromkeys(f"http://{host}:{port}" for host in hosts))
    return ["tasks.services.prefect_server", state.host, port, *_host_names(state)], variables


def _host_names(state: ServiceState) -> list[str]:
    """Return the host names that Prefect's server answers to; none means any, behind a login."""
    if state.authenticated:
        return []
    extra = os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")
    names = (LOOPBACK, "localhost", "[::1]", state.client_host, *extra)
    return sorted({host_name(name.strip()) for name in names} - {""})


def _mlflow(
    state: ServiceState, folder: Path, database: Database | None
) -> tuple[list[str], Environment]:
    url = f"sqlite:///{folder / MLFLOW / 'mlflow.db'}"
    variables = {
        **MLFLOW_DEFAULTS,
        "MLFLOW_BACKEND_STORE_URI": database.mlflow_url if database else url,
        # Else clients could send code for the server to run.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    arguments = ["mlflow", "server", "--host", state.host, "--port", str(state.mlflow_port)]
    arguments += ["--workers", MLFLOW_PROCESSES, "--serve-artifacts"]
    arguments += ["--artifacts-destination", str(folder / MLFLOW / "artifacts")]
    if state.authenticated:
        arguments += ["--app-name", "basic-auth"]
        key = os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or secrets.token_hex(32)
        variables["MLFLOW_FLASK_SERVER_SECRET_KEY"] = key
        if database and not os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
            variables |= _logins_in_postgres(database, folder / MLFLOW)
    return arguments, variables


def _logins_in_postgres(database: Database, folder: Path) -> Environment:
    """Write MLflow's login settings, without the password; return the variables it needs."""
    path = folder / "login.ini"
    path.write_text(LOGIN_SETTINGS.format(database.login_url.replace("%", "%%")), "utf-8")
    password = {"PGPASSWORD": database.password} if database.password else {}
    return {"MLFLOW_AUTH_CONFIG_PATH": str(path), **password}


def _worker(name: str, state: ServiceState) -> tuple[list[str], Environment]:
    variables = {
        "MLFLOW_TRACKING_URI": state.mlflow_url,
        # Prefect's server answers 500 while its database is away; runs retry for a minute.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": os.environ.get(
            "PREFECT_CLIENT_RETRY_EXTRA_CODES", "500"
        ),
        # Set here because in a run's process Prefect reads its settings before our code runs.
        LOGGERS: os.environ.get(LOGGERS, PREFECT_DEFAULTS[LOGGERS]),
    }
    if state.authenticated:
        variables |= {
            "PREFECT_API_AUTH_STRING": os.environ["PREFECT_SERVER_API_AUTH_STRING"],
            "MLFLOW_TRACKING_USERNAME": os.environ["MLFLOW_AUTH_ADMIN_USERNAME"],
            "MLFLOW_TRACKING_PASSWORD": os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"],
        }
    arguments = ["prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    return [*arguments, "--name", name, "--install-policy", "never"], variables


def _clear_up(name: str, state: ServiceState, folder: Path) -> None:
    """Undo what a killed process of this name has left: children, or runs without a process."""
    if not name.startswith(WORKER):
        # A child may hold the server's port.
        end_processes(folder, CHILD_SECONDS, lambda service: service == name)
        return
    end = time.monotonic() + SERVER_SECONDS
    while not answers(f"{state.prefect_url}/api/health") and time.monotonic() < end:
        time.sleep(1)
    try:
        end_orphaned_runs(folder, state, {name})
    except OSError as error:
        sys.stderr.write(f"runs without a process were not ended: {error}\n")


def main() -> None:
    """Become the service that the only argument names."""
    name, folder = sys.argv[1], services_folder()
    state = read_state(folder)
    if state is None:
        sys.exit(f"{folder} has no state: start the services with `mirror up`")
    _clear_up(name, state, folder)
    arguments, environment = launch_command(name, state, folder, find_database(None))
    environment[NAME_VARIABLE] = name
    os.execve(sys.executable, [sys.executable, "-m", *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main()
