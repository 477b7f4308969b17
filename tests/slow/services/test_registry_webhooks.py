"""MLflow's own webhooks tell a service of a new champion, as docs/serving.md says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tasks.registry.promotion import promote, roll_back
from tests.fixtures.tracking_server import TrackingServer

pytestmark = pytest.mark.slow

MODEL = "mirror-en-trades"
SECRET = "between the two of us"  # of this test
Received = queue.Queue[tuple[dict[str, str], bytes]]


@pytest.fixture
def receiver() -> Iterator[tuple[str, Received]]:
    """The address of a local service, and what it has received."""
    received: Received = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/champion", received
        server.shutdown()


@pytest.fixture
def client(tmp_path: Path, empty_tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that may call services on this machine, with two versions of a model."""
    from mlflow.tracking import MlflowClient

    server = TrackingServer(
        tmp_path,
        empty_tracking,
        MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=Fernet.generate_key().decode(),
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
    )
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    client = MlflowClient(server.url)
    client.create_registered_model(MODEL)
    for number in (1, 2):
        tags = {"encoder_digest": f"e{number}", "promotion_status": "not promoted"}
        client.create_model_version(MODEL, "s3://somewhere/encoder", tags=tags)
    yield client
    server.kill()


def signature(headers: dict[str, str], body: bytes) -> str:
    """What `X-MLflow-Signature` must be: version, and HMAC of delivery, time and body."""
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def test_a_service_hears_of_each_new_champion(
    client: Any, receiver: tuple[str, Received], tmp_path: Path
) -> None:
    address, received = receiver
    (tmp_path / "locks").mkdir()
    client.create_webhook("champion", address, ["model_version_alias.created"], secret=SECRET)
    promote(MODEL, "1", tmp_path, force=True)
    promote(MODEL, "2", tmp_path, force=True)
    roll_back(MODEL, tmp_path)
    champions = []
    for _ in range(3):
        headers, body = received.get(timeout=60)
        assert headers["X-MLflow-Signature"] == signature(headers, body)
        content = json.loads(body)
        assert (content["entity"], content["action"]) == ("model_version_alias", "created")
        assert (content["data"]["name"], content["data"]["alias"]) == (MODEL, "champion")
        champions.append(content["data"]["version"])
    assert sorted(champions) == ["1", "1", "2"]
