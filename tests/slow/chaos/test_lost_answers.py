"""Lost answers of a tracking server: no run or version is created twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import ServiceError
from tasks import registry
from tasks.registry.candidate import RegistrationCandidate
from tests.fixtures.tracking_server import TrackingServer

pytestmark = pytest.mark.slow
MODEL = "mirror-en-trades"
register = registry.register.fn
Make = Callable[..., RegistrationCandidate]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> Iterator[int]:
    """The port of MLflow's server."""
    server = TrackingServer(tmp_path_factory.mktemp("mlflow"), empty_tracking)
    server.start()
    yield server.port
    server.kill()


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
