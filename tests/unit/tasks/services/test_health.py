"""Requests to Prefect's server, and the checks of `mirror doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError

import pytest

from tasks.services import health
from tasks.services.options import ServiceState, write_state
from tasks.services.supervisor import Supervisor


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
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceState]:
    monkeypatch.setattr(health, "BUSY_SECONDS", 0.01)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield ServiceState("127.0.0.1", server.server_port, 0, "", authenticated=False)
        server.shutdown()


def test_a_busy_server_is_retried(state: ServiceState) -> None:
    Server.codes = [503, 503, 200]
    assert health.ask_prefect(state, "flows/1") == "here"
    assert Server.codes == []


@pytest.mark.parametrize(
    ("codes", "unused"),
    [([503] * health.BUSY_TRIES, []), ([404, 200], [200])],
    ids=["after the last try", "at once if not busy"],
)
def test_retries_end(state: ServiceState, codes: list[int], unused: list[int]) -> None:
    Server.codes = list(codes)
    with pytest.raises(HTTPError, match=str(codes[0])):
        health.ask_prefect(state, "flows/1")
    assert Server.codes == unused


# Ports that no server listens on.
UNUSED = ServiceState("127.0.0.1", 9, 10, "", authenticated=False)


def test_services_that_were_never_started_are_fine(tmp_path: Path) -> None:
    [result] = health.check_services(tmp_path)
    assert result.state == "ok"
    assert health.prefect_address(tmp_path) == ""


def test_a_damaged_state_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    [result] = health.check_services(tmp_path)
    assert (result.name, result.state) == ("services", "warn")
    assert health.prefect_address(tmp_path) == ""


def test_services_that_died_or_do_not_answer_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, UNUSED)
    monkeypatch.setattr(Supervisor, "live", lambda _self: {"prefect", "worker-1"})
    results = health.check_services(tmp_path)
    assert [result.state for result in results] == ["warn"] * 4
    assert results[0].text.startswith("mlflow does not run")
    assert "mlflow.log" in results[0].text
    assert results[1].text == "http://127.0.0.1:9 does not answer"
    assert "mirror up" in results[1].remedy
    assert results[3].name == "work pool"
    assert health.prefect_address(tmp_path) == "http://127.0.0.1:9/api"


def test_a_server_that_died_has_no_address(tmp_path: Path) -> None:
    write_state(tmp_path, UNUSED)
    assert health.prefect_address(tmp_path) == ""
