"""Lost answers of a tracking server: no run or version is created twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from mirror.errors import ServiceError
from tasks import registry
from tasks.registry.candidate import RegistrationCandidate

pytestmark = pytest.mark.slow
MODEL = "mirror-en-trades"
register = registry.register.fn
Make = Callable[..., RegistrationCandidate]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> Iterator[int]:
    """The port of MLflow's server."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    place = shutil.copy(empty_tracking, folder / "mlflow.db")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--serve-artifacts", "--backend-store-uri", f"sqlite:///{place}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while not answers(port):
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.3)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def losing(server: int, path: str) -> Iterator[str]:
    """The address of a server whose first answer to a path is lost."""
    lost: list[str] = []

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            onward = HTTPConnection("127.0.0.1", server, timeout=60)
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            onward.close()
            if self.path.endswith(path) and not lost:
                lost.append(self.path)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type") or "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def log_message(self, *_: Any) -> None:
            pass

    between = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=between.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{between.server_address[1]}"
        assert lost
    finally:
        between.shutdown()
        between.server_close()


@pytest.mark.parametrize("path", ["model-versions/create", "runs/create"])
def test_a_request_whose_answer_was_lost_is_not_repeated(
    path: str,
    server: int,
    make_candidate: Make,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"http://127.0.0.1:{server}")
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    with losing(server, path) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(ServiceError):
            register(make_candidate(0), workspace)
        registration = register(make_candidate(0), workspace)  # as the task tries again
    assert registration.promoted
    [version] = client.search_model_versions(f"name = '{MODEL}'")
    assert version.run_id == registration.run_id
    [experiment] = client.search_experiments(filter_string="name = 'en-trades'")
    owned = f"tags.workspace = '{(workspace / 'id').read_text()}'"
    states = [run.info.status for run in client.search_runs([experiment.experiment_id], owned)]
    assert sorted(states) == (["FINISHED", "KILLED"] if path == "runs/create" else ["FINISHED"])
