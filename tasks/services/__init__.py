"""Services of a team on one machine: Prefect's server, MLflow's server and workers."""

from __future__ import annotations

from pathlib import Path

from tasks.environment import workspace_root

POOL = "mirror"
"""The work pool that the deployments in prefect.yaml name."""
PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"


def services_folder() -> Path:
    """Return the folder with the services' state, databases, artifacts and logs."""
    return workspace_root() / "servers"


def log_path(folder: Path, name: str) -> Path:
    """Return the log file of one process."""
    return folder / "logs" / f"{name}.log"
