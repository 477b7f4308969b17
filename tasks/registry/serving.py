"""MLflow's own scoring server, for a registered model."""

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
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from mirror.data_files import is_inside
from mirror.encoders.base_model import check_base
from mirror.encoders.sentence_transformers_format import read_encoder_settings
from mirror.encoders.untrusted_code import check_no_code
from mirror.errors import BaseModelError, ServiceError
from tasks.network import bracketed
from tasks.registry.client import open_store

START_SECONDS = 300.0
"""It imports MLflow, torch and sentence-transformers, which a slow disk draws out."""
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.2
STDERR = 2
"""Where its log of calls goes."""


LOADER = "mlflow.sentence_transformers"
FLAVOUR = {"data", "env", "loader_module", "python_version"}
"""What MLflow notes of an encoder that brings no code."""


@contextmanager
def checked_copy(uri: str) -> Iterator[Path]:
    """Within the block, there is a copy of a registered model that runs no code of its own.

    MLflow imports what a model names, and trusts what lies in it: so the bytes that are looked at
    here are those to serve.

    Args:
        uri: the model version, as `models:/NAME/VERSION`.

    Raises:
        BaseModelError: it is no encoder of ours, is damaged, or brings code.
        TokenizerError: its tokenizer is damaged.
        ServiceError: the registry does not answer.
    """
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="mirror-serve-") as beside:
        with open_store():
            copy = Path(download_artifacts(artifact_uri=uri, dst_path=beside))
        encoder = copy / _data_of(copy / "MLmodel", uri)
        if not is_inside(encoder, copy):
            raise _strange(uri, "its files lie elsewhere")
        check_no_code(encoder)
        check_base(encoder, masks=False)
        read_encoder_settings(encoder)
        yield copy


def _data_of(path: Path, uri: str) -> str:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavour = content["flavors"]["python_function"]
        told = {key for key, value in flavour.items() if value}
        loader, data = flavour["loader_module"], flavour["data"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise _strange(uri, f"MLmodel cannot be read: {error}") from error
    if loader != LOADER or not told <= FLAVOUR or not isinstance(data, str):
        raise _strange(uri, f"MLflow would load it by {loader} with {', '.join(sorted(told))}")
    return data


def _strange(uri: str, why: str) -> BaseModelError:
    return BaseModelError(
        f"{uri} was not registered by this project, or was changed since ({why}): serving it could "
        "run code that came with it; serve a version that `mirror run` registered"
    )


@contextmanager
def scoring_server(model: Path, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Within the block, MLflow's scoring server answers for a model; afterwards it is ended.

    It ends with this process too, also where that is killed.

    Args:
        model: its folder, as `checked_copy` gives it.
        host: the address to listen on.
        port: likewise.

    Raises:
        ServiceError: it ended, or did not answer in time.
    """
    command = [sys.executable, "-m", "mirror.shutdown", "mlflow", "models", "serve"]
    command += ["--model-uri", str(model)]
    command += ["--env-manager", "local", "--host", host, "--port", str(port)]
    server = subprocess.Popen(
        command,
        env=_environment(),
        stdin=subprocess.PIPE,  # held open: what it ends by
        stdout=STDERR,
        start_new_session=True,
    )
    try:
        _await(server, f"http://{bracketed(host)}:{port}/ping")
        yield server
    finally:
        _end(server)


def _environment() -> dict[str, str]:
    # MLflow starts `uvicorn` by its name, wherever the shell finds one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    offline = {"HF_HUB_OFFLINE": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    modules = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, **offline, "PATH": path, "PYTHONPATH": modules}


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
