"""The team setting on one machine: Prefect's server, MLflow's, and workers, started and stopped.

All state lies in one folder, `servers` in the workspace; `state.json` there says what runs.
"""

from __future__ import annotations

from pathlib import Path

from tasks.environment import workspace_root

POOL = "mirror"
"""The work pool that prefect.yaml's deployments name."""


def servers_folder() -> Path:
    """Where databases, artifacts, logs and the state of the servers are."""
    return workspace_root() / "servers"
