"""Registration by several processes at once, and by one that is killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.paths import CHECKOUT
from tasks import registry
from tasks.registry.candidate import Champion, RegistrationCandidate
from tasks.registry.champion import ChampionHistory

MODEL = "mirror-en-trades"
PRELUDE = """
import os, pickle, sys, time
from pathlib import Path
import mlflow
from mlflow.tracking import MlflowClient
from mirror.errors import InputError
from tasks import registry
from tasks.registry.promotion import promote, roll_back
content = pickle.loads(Path(sys.argv[1]).read_bytes())
set_alias = MlflowClient.set_registered_model_alias
def slowly(self, name, alias, version):
    # A second between reading the champion and moving the alias, instead of milliseconds.
    time.sleep(1 if alias == "champion" else 0)
    set_alias(self, name, alias, version)
MlflowClient.set_registered_model_alias = slowly
"""
WAIT = """
print("ready", flush=True)
sys.stdin.readline()
"""
REGISTER = "print(registry.register.fn(content['candidate'], content['workspace']).outcome)"
KILLED = "mlflow.log_params = lambda params: os._exit(9)\n" + REGISTER

Make = Callable[..., RegistrationCandidate]
RunAtOnce = Callable[..., list[str]]


@pytest.fixture
def run_at_once(tmp_path: Path) -> Iterator[RunAtOnce]:
    """Run a script in several processes that start at the same moment; return their output."""
    processes: list[subprocess.Popen[str]] = []

    def run(script: str, contents: list[dict[str, Any]]) -> list[str]:
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.pickle"
            path.write_bytes(pickle.dumps(content))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", PRELUDE + WAIT + script, str(path)],
                    env=os.environ
                    | {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(content["workspace"])},
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
        return [process.communicate(timeout=200)[0].strip() for process in processes]

    yield run
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def workspaces(tmp_path: Path) -> list[Path]:
    """Two workspaces that share an SQLite store."""
    folders = [tmp_path / f"workspace-{number}" for number in (1, 2)]
    for folder in folders:
        (folder / "locks").mkdir(parents=True)
    return folders


def aliases(client: Any) -> dict[str, str]:
    found = client.get_registered_model(MODEL).aliases
    return {name: str(number) for name, number in found.items()}


def history(client: Any, number: str) -> ChampionHistory:
    return ChampionHistory.of(client.get_model_version(MODEL, number))


@pytest.mark.parametrize("shared", [True, False], ids=["one workspace", "two workspaces"])
def test_of_two_encoders_at_once_one_is_promoted_and_one_superseded(
    shared: bool,
    make_candidate: Make,
    run_at_once: RunAtOnce,
    workspace: Path,
    workspaces: list[Path],
    client: Any,
) -> None:
    registry.register.fn(make_candidate(0), workspace)
    champion = Champion(str(make_candidate(0).encoder), "c" * 64, version="1")
    folders = [workspace] * 2 if shared else workspaces
    contents = [
        {"candidate": make_candidate(number, champion=champion), "workspace": folder}
        for number, folder in zip((1, 2), folders, strict=True)
    ]
    outcomes = run_at_once(REGISTER, contents)
    winner = aliases(client)["champion"]
    assert winner in ("2", "3")
    assert sorted(outcomes) == ["promoted", f"superseded by version {winner}"]
    assert history(client, winner).previous == ("1",)
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 3


def test_the_same_encoder_from_two_workspaces_at_once_is_one_version(
    make_candidate: Make, run_at_once: RunAtOnce, workspaces: list[Path], client: Any
) -> None:
    candidate = make_candidate(0)
    contents = [{"candidate": candidate, "workspace": folder} for folder in workspaces]
    assert run_at_once(REGISTER, contents) == ["promoted", "promoted"]
    [version] = client.search_model_versions("")
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    [experiment] = client.search_experiments(filter_string=f"name = '{candidate.recipe.name}'")
    [run] = client.search_runs([experiment.experiment_id])
    [encoder] = client.search_logged_models([experiment.experiment_id])
    assert run.info.run_id == version.run_id == encoder.source_run_id
    assert [change.action for change in history(client, "1").changes] == ["promoted"]


def test_the_next_run_marks_the_run_of_a_killed_process(
    make_candidate: Make, workspace: Path, client: Any, tmp_path: Path
) -> None:
    content = {"candidate": make_candidate(0), "workspace": workspace}
    (tmp_path / "killed.pickle").write_bytes(pickle.dumps(content))
    killed = subprocess.run(
        [sys.executable, "-c", PRELUDE + KILLED, str(tmp_path / "killed.pickle")],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert killed.returncode == 9
    experiment = client.get_experiment_by_name("en-trades").experiment_id
    [unfinished] = client.search_runs([experiment])
    assert unfinished.info.status == "RUNNING"
    registration = registry.register.fn(make_candidate(0), workspace)
    states = {run.info.run_id: run.info.status for run in client.search_runs([experiment])}
    assert states == {unfinished.info.run_id: "KILLED", registration.run_id: "FINISHED"}


@pytest.fixture
def three(client: Any, tmp_path: Path, workspace: Path) -> None:
    """Three versions without encoders that were champion one after the other, and two refused."""
    from tasks.registry.promotion import promote

    client.create_registered_model(MODEL)
    for number in range(1, 6):
        tags = {"encoder_digest": f"e{number}", "promotion_status": "not promoted"}
        client.create_model_version(MODEL, str(tmp_path), tags=tags)
        if number <= 3:
            promote(MODEL, str(number), workspace, force=True)


def test_two_rollbacks_at_once_undo_one_promotion_each_or_are_refused(
    three: None, run_at_once: RunAtOnce, workspaces: list[Path], client: Any
) -> None:
    script = f"""
try:
    print(roll_back({MODEL!r}, content["workspace"]).text)
except InputError as error:
    print(error)
"""
    output = run_at_once(script, [{"workspace": folder} for folder in workspaces])
    refused = [line for line in output if "another command has just made" in line]
    expected = "2" if refused else "1"  # the second may begin after the first has ended
    assert champion_of(client) == expected
    assert [change.action for change in history(client, "3").changes] == ["promoted", "rolled back"]


def champion_of(client: Any) -> str:
    return aliases(client)["champion"]


def test_two_promotions_at_once_follow_each_other(
    three: None, run_at_once: RunAtOnce, workspaces: list[Path], client: Any
) -> None:
    script = f'promote({MODEL!r}, content["number"], content["workspace"], force=True)'
    contents = [
        {"workspace": folder, "number": number}
        for folder, number in zip(workspaces, ("4", "5"), strict=True)
    ]
    run_at_once(script, contents)
    last = champion_of(client)
    other = {"4": "5", "5": "4"}[last]
    assert history(client, last).previous == ("1", "2", "3", other)
