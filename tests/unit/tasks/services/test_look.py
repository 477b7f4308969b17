"""What `mirror doctor` finds of the servers."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from tasks.services.look import look_at_servers, prefect_address
from tasks.services.state import ServerState, Started, write_state

SELF = Started(
    "prefect", os.getpid(), psutil.Process().create_time() - psutil.boot_time()
)  # runs for sure, and answers nothing
GONE = Started("mlflow", os.getpid(), SELF.since_boot - 100)


def state(*processes: Started) -> ServerState:
    # Ports that nobody listens on.
    return ServerState("127.0.0.1", 9, 10, "", authenticated=False, processes=processes)


def test_nothing_brought_up_is_fine(tmp_path: Path) -> None:
    [found] = look_at_servers(tmp_path)
    assert found.state == "ok"
    assert prefect_address(tmp_path) == ""


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    [found] = look_at_servers(tmp_path)
    assert (found.name, found.state) == ("servers", "warn")
    assert prefect_address(tmp_path) == ""


def test_what_died_and_what_does_not_answer_is_named(tmp_path: Path) -> None:
    write_state(tmp_path, state(SELF, GONE))
    found = look_at_servers(tmp_path)
    assert [one.state for one in found] == ["warn"] * 4
    assert found[0].text.startswith("mlflow ended by itself")
    assert "mlflow.log" in found[0].text
    assert found[1].text == "http://127.0.0.1:9 does not answer"
    assert "mirror up" in found[1].remedy
    assert found[3].name == "work pool"
    assert prefect_address(tmp_path) == "http://127.0.0.1:9/api"


def test_a_server_that_died_has_no_address(tmp_path: Path) -> None:
    write_state(tmp_path, state(GONE))
    assert prefect_address(tmp_path) == ""
