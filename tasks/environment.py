"""What this project sets, unless the user has, before Prefect, MLflow or torch is imported."""

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
    # Library functions called outside a flow log too, and are not to be warned of for it.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Else it reads uv.lock in the current folder, whatever project that belongs to.
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Its own 7 retries take 4 minutes; tasks retry what may be retried.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}
COMMON_DEFAULTS = {
    # MLflow knows only the value `true`.
    "DO_NOT_TRACK": "true",
    "TOKENIZERS_PARALLELISM": "false",
}


def set_defaults() -> None:
    """Fills in what the environment leaves open; never overrides it.

    Prefect reads its settings when it is imported: once it is (in a worker's child, say), what it
    runs with is the caller's choice and its settings stay as they are.
    """
    root = workspace_root()
    with suppress(OSError):  # Prefect does not make the folders above its own; Store complains
        root.mkdir(parents=True, exist_ok=True)
    defaults = COMMON_DEFAULTS | MLFLOW_DEFAULTS
    # The default would be a file in the current folder: another folder, another registry.
    defaults["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
    if "prefect" not in sys.modules:
        defaults |= PREFECT_DEFAULTS
        # A user who has told Prefect of a server, here or in a profile, keeps that profile.
        if "PREFECT_API_URL" not in os.environ and "PREFECT_PROFILE" not in os.environ:
            defaults["PREFECT_HOME"] = str(root / "prefect")
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in OURS:  # Prefect passes on what these let through, which else are warnings
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.INFO)
    calm_waiting()
