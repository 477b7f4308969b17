"""Default environment variables, set before Prefect, MLflow or torch is imported."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from mirror.hardware import calm_waiting
from mirror.paths import CHECKOUT as CHECKOUT
from mirror.paths import workspace_root as workspace_root

LOGGERS = "PREFECT_LOGGING_EXTRA_LOGGERS"
OURS = ("mirror", "tasks", "flows")
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A slow disk takes longer than Prefect's 20 seconds, and the run would end there.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    LOGGERS: ",".join(OURS),
    # Library functions log outside of flows too: no warning about that.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else it reads uv.lock in the current folder, which may belong to another project.
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's default of 7 retries takes 4 minutes; tasks have retries of their own.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}
COMMON_DEFAULTS = {
    # MLflow only accepts the value `true`.
    "DO_NOT_TRACK": "true",
    "TOKENIZERS_PARALLELISM": "false",
}


def set_defaults() -> None:
    """Set the variables that are not set yet.

    Prefect reads its settings when it is imported.  If it already is, for example in the child of a
    worker, its settings are the caller's and stay unchanged.
    """
    root = workspace_root()
    with suppress(OSError):  # Prefect does not create parent folders; Store raises the error
        root.mkdir(parents=True, exist_ok=True)
    defaults = COMMON_DEFAULTS | MLFLOW_DEFAULTS
    # MLflow's default is a file in the current folder: each folder would have its own registry.
    defaults["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
    if "prefect" not in sys.modules:
        defaults |= PREFECT_DEFAULTS
        # A user who has configured a server keeps that profile.
        if "PREFECT_API_URL" not in os.environ and "PREFECT_PROFILE" not in os.environ:
            defaults["PREFECT_HOME"] = str(root / "prefect")
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in OURS:  # Prefect forwards their records; the default level is WARNING
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.INFO)
    calm_waiting()
