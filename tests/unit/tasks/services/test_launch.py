"""Command and environment of each service: no secret on a command line, none that is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tasks.services.database import Database
from tasks.services.launch import launch_command
from tasks.services.options import ServiceState

SECRETS = {
    "PREFECT_SERVER_API_AUTH_STRING": "chief:s3cret-prefect",
    "MLFLOW_AUTH_ADMIN_USERNAME": "chief",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "s3cret-mlflow",
    "MIRROR_DATABASE_URL": "postgresql://chief:s3cret-database@host/mirror",
}
STATE = ServiceState("0.0.0.0", 4200, 5000, "postgresql://chief@host/mirror", authenticated=True)
DATABASE = Database(make_url(SECRETS["MIRROR_DATABASE_URL"]))
NAMES = ("prefect", "mlflow", "worker-1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "mlflow").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_on_a_command_line_or_in_a_file(name: str, folder: Path) -> None:
    arguments, environment = launch_command(name, STATE, folder, DATABASE)
    assert "s3cret" not in " ".join(arguments)
    assert "MIRROR_DATABASE_URL" not in environment
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if "s3cret" in path.read_text()]


def test_a_worker_has_the_clients_logins_and_no_database(folder: Path) -> None:
    _, environment = launch_command("worker-1", STATE, folder, DATABASE)
    assert not set(SECRETS) & set(environment)
    assert "s3cret-database" not in str(environment)
    assert environment["PREFECT_API_AUTH_STRING"] == SECRETS["PREFECT_SERVER_API_AUTH_STRING"]
    assert environment["MLFLOW_TRACKING_PASSWORD"] == SECRETS["MLFLOW_AUTH_ADMIN_PASSWORD"]


def test_servers_share_no_database(folder: Path) -> None:
    _, prefect = launch_command("prefect", STATE, folder, DATABASE)
    _, mlflow = launch_command("mlflow", STATE, folder, DATABASE)
    assert prefect["PREFECT_SERVER_DATABASE_CONNECTION_URL"].endswith("/mirror_prefect")
    assert mlflow["MLFLOW_BACKEND_STORE_URI"].endswith("/mirror_mlflow")
    assert mlflow["PGPASSWORD"] == "s3cret-database"


def test_without_a_login_only_own_names_and_origins_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    state = ServiceState("127.0.0.1", 4200, 5000, "", authenticated=False)
    arguments, environment = launch_command("prefect", state, tmp_path, None)
    assert set(arguments[3:]) == {"127.0.0.1", "[::1]", "localhost"}
    origins = environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    assert origins == ["http://127.0.0.1:4200", "http://localhost:4200"]
