"""The state of the servers on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import StoreError
from tasks.services.state import ServerState, Started, read_state, remove_state, write_state

STATE = ServerState(
    "127.0.0.1", 4200, 5000, "", False, (Started("prefect", 12, 3.5), Started("worker-1", 13, 4.5))
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_nothing_is_known_before_and_after(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(tmp_path, STATE)
    remove_state(tmp_path)
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": [1]}', '{"processes": []}'])
def test_a_damaged_state_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StoreError, match=r"state\.json cannot be read.*stop the servers by hand"):
        read_state(tmp_path)


def test_a_process_takes_the_place_of_one_of_its_name() -> None:
    changed = STATE.with_process(Started("prefect", 99, 8.0))
    assert [(known.name, known.pid) for known in changed.processes] == [
        ("worker-1", 13),
        ("prefect", 99),
    ]
    assert [known.name for known in changed.without({"prefect"}).processes] == ["worker-1"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4200"),
        ("0.0.0.0", "http://127.0.0.1:4200"),
        ("::1", "http://[::1]:4200"),
        ("box.example", "http://box.example:4200"),
    ],
)
def test_clients_reach_what_is_bound(host: str, url: str) -> None:
    assert ServerState(host, 4200, 5000, "", False).prefect_url == url
