"""MLflow scoring server for a registered encoder, after a check that it brings no code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mirror.data_files import is_inside
from mirror.encoders.base_model import check_base
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.encoders.untrusted_code import check_no_code
from mirror.errors import BaseModelError, ServiceError
from tasks.network import answers, bracketed
from tasks.registry.client import open_store

START_SECONDS = 300.0
"""It imports MLflow, torch and sentence-transformers, which takes long from a slow disk."""
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.2
STDERR = 2
"""File descriptor for the server's access log."""

APP = "tasks.registry.scoring_app:make_app"
LOADER = "mlflow.sentence_transformers"
ALLOWED_KEYS = {"data", "env", "loader_module", "python_version"}
"""Keys in MLmodel of an encoder without code of its own."""


@contextmanager
def checked_copy(uri: str) -> Iterator[Path]:
    """Download a registered model to a temporary folder, checked to run no code of its own.

    MLflow imports the modules that a model names and trusts its files, so the files that are
    checked must be the ones that are served.

    Args:
        uri: the model version, as `models:/NAME/VERSION`.

    Raises:
        BaseModelError: it is damaged, brings code, or was not registered by this project.
        TokenizerError: its tokenizer is damaged.
        ServiceError: the registry does not answer.
    """
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="mirror-serve-") as folder:
        with open_store():
            copy = Path(download_artifacts(artifact_uri=uri, dst_path=folder))
        encoder = copy / _data_path(copy / "MLmodel", uri)
        if not is_inside(encoder, copy):
            raise _foreign_model(uri, "its files are outside its folder")
        check_no_code(encoder)
        check_base(encoder, masks=False)
        read_encoder_settings(encoder)
        yield copy


def _data_path(path: Path, uri: str) -> str:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavour = content["flavors"]["python_function"]
        keys = {key for key, value in flavour.items() if value}
        loader, data = flavour["loader_module"], flavour["data"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise _foreign_model(uri, f"MLmodel cannot be read: {error}") from error
    if loader != LOADER or not keys <= ALLOWED_KEYS or not isinstance(data, str):
        raise _foreign_model(
            uri, f"MLflow would load it by {loader} with {', '.join(sorted(keys))}"
        )
    return data


def _foreign_model(uri: str, why: str) -> BaseModelError:
    return BaseModelError(
        f"{uri} was not registered by this project, or was changed since ({why}): serving it could "
        "run code that came with it; serve a version that `mirror run` registered"
    )


@contextmanager
def scoring_server(model: Path, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run MLflow's scoring server for a model until the block ends.

    It also ends when this process is killed.

    Args:
        model: the folder that `checked_copy` gives.
        host: the address to listen on.
        port: the port to listen on.

    Raises:
        ServiceError: it exited, or did not answer in time.
    """
    command = [sys.executable, "-m", "mirror.shutdown", "uvicorn", "--factory", APP]
    command += ["--host", host, "--port", str(port)]
    server = subprocess.Popen(
        command,
        env=_environment(model),
        stdin=subprocess.PIPE,  # the server ends when this pipe closes
        stdout=STDERR,
        start_new_session=True,
    )
    try:
        _wait_until_ready(server, f"http://{bracketed(host)}:{port}/ping")
        yield server
    finally:
        _end(server)


def _environment(model: Path) -> dict[str, str]:
    from mlflow.pyfunc.scoring_server import get_cmd

    _, environment = get_cmd(str(model))
    offline = {"HF_HUB_OFFLINE": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    modules = os.pathsep.join(filter(None, sys.path))
    return {**environment, **offline, "PYTHONPATH": modules}


def _wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ServiceError(
                f"the scoring server exited while starting (code {server.returncode}): see "
                "its messages above"
            )
        if answers(address):
            return
        time.sleep(PAUSE_SECONDS)
    raise ServiceError(
        f"the scoring server does not answer at {address} after {START_SECONDS:.0f} s: try again "
        "when the machine is less busy"
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its child processes."""
    for mark in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, mark)
            server.wait(STOP_SECONDS)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
