"""Who may move a model's aliases, where several workspaces share a tracking store."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import ServiceError
from mirror.paths import CHECKOUT
from tasks.registry import lock
from tasks.registry.candidate import Champion, RegistrationCandidate, registration_tags
from tasks.registry.lock import registry_lock, workspace_id

MODEL = "mirror-en-trades"
MARK = f"{MODEL}~moving"
PROMOTE = """
import pickle, sys, time
from pathlib import Path
from mlflow.tracking import MlflowClient
from tasks.registry import lock, register_encoder
candidate, workspace, alike = pickle.loads(Path(sys.argv[1]).read_bytes())
if not alike:  # the store is treated as a server's, which has no file to lock
    lock.sqlite_file = lambda uri: None
set_alias = MlflowClient.set_registered_model_alias
def slowly(self, name, alias, version):
    # Between looking who is champion and moving the alias, which takes milliseconds otherwise.
    time.sleep(2 if alias == "champion" else 0)
    set_alias(self, name, alias, version)
MlflowClient.set_registered_model_alias = slowly
print("ready", flush=True)
sys.stdin.readline()
print(register_encoder.fn(candidate, workspace).outcome)
"""


def aliases(client: Any) -> dict[str, str]:
    found = client.get_registered_model(MODEL).aliases
    return {name: str(number) for name, number in found.items()}


def marks(client: Any) -> list[str]:
    return [found.name for found in client.search_registered_models() if "~" in found.name]


def add_version(client: Any, candidate: RegistrationCandidate) -> None:
    """Registers an encoder as a run does that is killed before it has moved an alias."""
    tags = registration_tags(candidate)
    client.create_model_version(MODEL, str(candidate.encoder), tags=tags)


@pytest.fixture
def owner(tmp_path: Path) -> str:
    """Of another workspace than the tests' own."""
    (tmp_path / "another" / "locks").mkdir(parents=True)
    return workspace_id(tmp_path / "another")


@pytest.fixture
def as_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is treated as a server's, which has no file to lock."""
    monkeypatch.setattr(lock, "sqlite_file", lambda uri: None)


@pytest.fixture
def register_at_once(
    client: Any, tmp_path: Path
) -> Iterator[Callable[[list[RegistrationCandidate], bool], list[str]]]:
    """Registers candidates at the same time, each from a workspace and process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def register(candidates: list[RegistrationCandidate], as_file: bool) -> list[str]:
        for number, candidate in enumerate(candidates, 1):
            home = tmp_path / f"workspace-{number}"
            (home / "locks").mkdir(parents=True)
            content = tmp_path / f"{number}.pickle"
            content.write_bytes(pickle.dumps((candidate, home, as_file)))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", PROMOTE, str(content)],
                    env=os.environ | {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(home)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=120)[0].strip() for process in processes]

    yield register
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("as_file", [True, False], ids=["file", "server"])
def test_two_workspaces_at_once_make_one_champion(
    as_file: bool,
    make_candidate: Callable[..., RegistrationCandidate],
    register_at_once: Callable[[list[RegistrationCandidate], bool], list[str]],
    client: Any,
) -> None:
    client.create_registered_model(MODEL)
    add_version(client, make_candidate(0))
    client.set_registered_model_alias(MODEL, "champion", "1")
    champion = Champion(str(make_candidate(0).encoder), "c" * 64, version="1")
    candidates = [make_candidate(number, champion=champion) for number in (1, 2)]
    for candidate in candidates:
        add_version(client, candidate)
    outcomes = register_at_once(candidates, as_file)
    winner = aliases(client)["champion"]
    assert winner in ("2", "3")
    assert sorted(outcomes) == [f"overtaken by version {winner}", "promoted"]
    assert client.get_model_version(MODEL, winner).tags["previous_champion"] == "1"
    assert set(aliases(client)) == {"champion", "challenger"}
    assert not marks(client)


@pytest.mark.slow
@pytest.mark.parametrize("as_file", [True, False], ids=["file", "server"])
def test_the_same_encoder_from_two_workspaces_at_once_is_one_version(
    as_file: bool,
    make_candidate: Callable[..., RegistrationCandidate],
    register_at_once: Callable[[list[RegistrationCandidate], bool], list[str]],
    client: Any,
) -> None:
    candidate = make_candidate(0)
    assert register_at_once([candidate, candidate], as_file) == ["promoted", "promoted"]
    [version] = client.search_model_versions("")
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    [experiment] = client.search_experiments(filter_string=f"name = '{candidate.recipe.name}'")
    [run] = client.search_runs([experiment.experiment_id])
    [encoder] = client.search_logged_models([experiment.experiment_id])
    assert run.info.run_id == version.run_id == encoder.source_run_id
    [move] = [key for key in version.tags if key.startswith("move.")]
    assert move == "move.0001"
    assert not marks(client)


def test_a_killed_runs_mark_is_its_own_workspaces_at_once(
    client: Any, owner: str, as_server: None
) -> None:
    client.create_registered_model(MARK, {"workspace": owner})
    began = time.monotonic()
    with registry_lock(client, MODEL, owner) as check:
        check()
        assert marks(client) == [MARK]
    assert time.monotonic() - began < 5
    assert not marks(client)


def test_anothers_mark_is_waited_for_and_taken_when_it_stands_too_long(
    client: Any, owner: str, as_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "DEAD_SECONDS", 2.0)
    client.create_registered_model(MARK, {"workspace": "a dead one's"})
    began = time.monotonic()
    with registry_lock(client, MODEL, owner) as check:
        assert time.monotonic() - began > 2
        check()
        assert client.get_registered_model(MARK).tags == {"workspace": owner}
    assert not marks(client)


def test_who_was_taken_for_dead_moves_nothing_and_leaves_the_others_mark(
    client: Any, owner: str, as_server: None
) -> None:
    def move_late() -> None:
        with registry_lock(client, MODEL, owner) as check:
            client.delete_registered_model(MARK)
            client.create_registered_model(MARK, {"workspace": "another's"})
            check()
            raise AssertionError("it moved the alias")

    with pytest.raises(ServiceError, match=rf"aliases of {MODEL} .*: run again"):
        move_late()
    assert client.get_registered_model(MARK).tags == {"workspace": "another's"}


def test_the_mark_goes_when_moving_fails(client: Any, owner: str, as_server: None) -> None:
    def fail() -> None:
        with registry_lock(client, MODEL, owner):
            raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        fail()
    assert not marks(client)


def test_a_workspace_has_one_id_whoever_asks_and_no_other_has_it(
    workspace: Path, owner: str
) -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(workspace_id, [workspace] * 16))
    assert len(ids) == 1
    assert ids != {owner}
    moved = workspace.rename(workspace.with_name("moved"))
    assert workspace_id(moved) in ids
