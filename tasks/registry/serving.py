"""MLflow's own scoring server, for a registered model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from mirror.errors import ServiceError
from tasks.addresses import bracketed

START_SECONDS = 300.0
"""It imports MLflow, torch and sentence-transformers, which a slow disk draws out."""
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.2
STDERR = 2
"""Where its log of calls goes."""


@contextmanager
def scoring_server(uri: str, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Within the block, MLflow's scoring server answers for a model; afterwards it is ended.

    Args:
        uri: the model version, as `models:/NAME/VERSION`.
        host: the address to listen on.
        port: likewise.

    Raises:
        ServiceError: it ended, or did not answer in time.
    """
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri]
    command += ["--env-manager", "local", "--host", host, "--port", str(port)]
    server = subprocess.Popen(command, env=_environment(), stdout=STDERR, start_new_session=True)
    try:
        _await(server, f"http://{bracketed(host)}:{port}/ping")
        yield server
    finally:
        _end(server)


def _environment() -> dict[str, str]:
    # MLflow starts `uvicorn` by its name, wherever the shell finds one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    offline = {"HF_HUB_OFFLINE": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    return {**os.environ, **offline, "PATH": path}


def _await(server: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ServiceError(
                f"the scoring server ended as it started ({server.returncode}): see above what it "
                "said"
            )
        try:
            with urlopen(address, timeout=5) as answer:  # noqa: S310 - always http
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(PAUSE_SECONDS)
    raise ServiceError(
        f"the scoring server does not answer at {address} after {START_SECONDS:.0f} s: run it "
        "again when the machine has less to do"
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server and what it started."""
    for mark in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, mark)
            server.wait(STOP_SECONDS)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
