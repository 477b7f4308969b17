"""What is asked of Prefect's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError

import pytest

from tasks.services import health
from tasks.services.state import ServerState


class Server(BaseHTTPRequestHandler):
    """Answers with each of `codes` in turn."""

    codes: list[int]

    def do_GET(self) -> None:
        self.send_response(self.codes.pop(0))
        self.end_headers()
        self.wfile.write(json.dumps("here").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerState]:
    monkeypatch.setattr(health, "BUSY_SECONDS", 0.01)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield ServerState("127.0.0.1", server.server_port, 0, "", authenticated=False, processes=())
        server.shutdown()


def test_a_busy_server_is_asked_again(state: ServerState) -> None:
    Server.codes = [503, 503, 200]
    assert health.ask(state, "flows/1") == "here"
    assert Server.codes == []


def test_one_that_stays_busy_is_left(state: ServerState) -> None:
    Server.codes = [503] * health.BUSY_TRIES
    with pytest.raises(HTTPError, match="503"):
        health.ask(state, "flows/1")
    assert Server.codes == []


def test_another_refusal_is_told_at_once(state: ServerState) -> None:
    Server.codes = [404, 200]
    with pytest.raises(HTTPError, match="404"):
        health.ask(state, "flows/1")
    assert Server.codes == [200]
