"""ASGI application of the scoring server: MLflow's, with a check of the requests before it."""

from __future__ import annotations

from typing import Any

from tasks.registry.scoring_requests import check_request


def make_app() -> Any:
    """Return the application; the environment names the model, as MLflow's `get_cmd` sets it."""
    from mlflow.pyfunc.scoring_server.app import app

    app.middleware("http")(check_request)
    return app
