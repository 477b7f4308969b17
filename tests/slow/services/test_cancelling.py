"""Cancelling in Prefect's pages, as their button does it, with a real server and worker."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
import yaml

from mirror.tuning.device_lock import device_lock, device_name

pytestmark = pytest.mark.slow
COMMAND = "from flows.cli.main import main; main()"
STEPS = 4_000
ENDS = ("Completed", "Failed", "Crashed", "Cancelled")
MARK = 321.5
"""A loss that no step has: if it is in the final log, no step was repeated."""


class Team:
    """Servers and a worker, with one recipe deployed."""

    def __init__(self, folder: Path, recipe: Path, environment: dict[str, str]) -> None:
        self.home, self.folder, self.environment = folder / "home", folder, environment
        self.ended = ""
        """The flow run that was let end."""
        with socket.socket() as first, socket.socket() as second:
            for probe in (first, second):
                probe.bind(("127.0.0.1", 0))
            self.ports = [str(probe.getsockname()[1]) for probe in (first, second)]
        self.api = f"http://127.0.0.1:{self.ports[0]}/api"
        deployment = {
            "name": "tiny",
            "entrypoint": "flows.run_recipe.run_recipe",
            "work_pool": {"name": "mirror"},
            "parameters": {"recipe": str(recipe)},
            "pull": [],
            "tags": ["cancelled"],
        }
        content = {"name": "cancelled", "deployments": [deployment]}
        (folder / "prefect.yaml").write_text(yaml.safe_dump(content))

    def mirror(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | {"PREFECT_API_URL": self.api},
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask again, as Prefect's own clients do, where its database is busy."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.api}/{path}", data, {"Content-Type": "application/json"})
        for left in reversed(range(10)):
            try:
                with urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except HTTPError as error:
                if error.code != 503 or not left:
                    raise
                time.sleep(2)

    def start(self) -> str:
        [found] = self.ask("deployments/filter", {})
        return str(self.ask(f"deployments/{found['id']}/create_flow_run", {})["id"])

    def cancel(self, run: str) -> None:
        """Cancel the run, as the button of Prefect's page does."""
        asked = {"state": {"type": "CANCELLING"}}
        assert self.ask(f"flow_runs/{run}/set_state", asked)["status"] == "ACCEPT"

    def state(self, run: str) -> str:
        return str(self.ask(f"flow_runs/{run}")["state"]["name"])

    def logs(self, run: str) -> list[str]:
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return [line["message"] for line in self.ask("logs/filter", wanted)]

    def tuning(self) -> list[psutil.Process]:
        """Processes that tune in the workspace."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("MIRROR_HOME") == str(self.home)
                if ours and "mirror.tuning.worker" in process.cmdline():
                    found.append(process)
            except (psutil.Error, OSError):
                pass
        return found

    def checkpoints(self) -> list[Path]:
        return sorted(self.home.glob("work/*/checkpoint-0*"))


def wait(what: str, seen: Callable[[], Any], seconds: float = 240) -> Any:
    """Return the first value that satisfies a condition within a time limit."""
    end = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return found


def place_is_free() -> bool:
    class Taken(Exception):
        pass

    def give_up(_seconds: float) -> None:
        raise Taken

    try:
        with device_lock(device_name(), give_up):
            return True
    except Taken:
        return False


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory,
    environment_of: Callable[..., dict[str, str]],
    write_recipe: Callable[..., Path],
) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("cancelled")
    recipe = write_recipe(folder)
    text = recipe.read_text().replace("epochs = 2", f"epochs = {STEPS // 4}")
    recipe.write_text(text)
    environment = environment_of(folder / "home")
    # The servers find packages that are installed outside the checkout too.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    made = Team(folder, recipe, environment)
    try:
        made.mirror("up", "--prefect-port", made.ports[0], "--mlflow-port", made.ports[1])
        made.mirror("deploy", "--yes", "--file", str(folder / "prefect.yaml"))
        yield made
    finally:
        made.mirror("down")


def test_one_that_waits_for_its_place_can_be_cancelled(team: Team) -> None:
    with device_lock(device_name()):
        run = team.start()
        wait("it tunes", team.tuning)
        wait("its page says that it waits", lambda: "waiting for other runs" in str(team.logs(run)))
        team.cancel(run)
        wait("the process that waits has ended", lambda: not team.tuning(), 10)
        wait("the run is cancelled", lambda: team.state(run) == "Cancelled", 60)
    assert team.checkpoints() == []


def test_a_cancelled_run_stops_at_a_checkpoint_and_the_next_goes_on_from_there(team: Team) -> None:
    cancelled = team.start()
    wait("a checkpoint is there", team.checkpoints)
    assert not place_is_free()
    before = team.checkpoints()
    team.cancel(cancelled)
    wait("the process that tunes has ended", lambda: not team.tuning(), 10)
    [checkpoint] = team.checkpoints()
    assert checkpoint.name > before[0].name
    assert place_is_free()
    wait("the run is cancelled", lambda: team.state(cancelled) == "Cancelled", 60)

    advance = json.loads((checkpoint / "state.json").read_text())
    assert 0 < advance["step"] < STEPS
    advance["losses"][0] = MARK
    (checkpoint / "state.json").write_text(json.dumps(advance))
    again = team.start()
    wait("it has ended", lambda: team.state(again) in ENDS, 500)
    assert team.state(again) == "Completed", team.logs(again)
    team.ended = again
    [steps] = team.home.glob("stages/tune/*/steps.jsonl")
    losses = [json.loads(line)["loss"] for line in steps.read_text().splitlines()]
    assert (len(losses), losses[0], losses.count(MARK)) == (STEPS, MARK, 1)
    assert f"resuming from step {advance['step']}" in team.logs(again)


def test_the_page_of_a_run_tells_what_it_came_to(team: Team) -> None:
    wanted = {"flow_runs": {"id": {"any_": [team.ended]}}}
    found = {one["key"]: one for one in team.ask("artifacts/filter", wanted)}
    outcome = found["outcome"]
    assert outcome["task_run_id"] is None  # the run's own, on top of its tasks'
    assert outcome["data"].startswith("## Challenger: mirror-en-tiny version 1: not promoted")
    assert "| passage-retrieval | " in outcome["data"]
    assert "improvement over the base" in outcome["data"]
    pages = re.findall(r"\]\((http://127.0.0.1:\d+/)(#/[^)]+)\)", outcome["data"])
    assert {server for server, _ in pages} == {f"http://127.0.0.1:{team.ports[1]}/"}
    assert "#/models/mirror-en-tiny/versions/1" in [page for _, page in pages]
    assert "file:" not in json.dumps(list(found.values()))
    ends = {key: one["data"] for key, one in found.items() if key.endswith("-progress")}
    assert {"tune-progress", "evaluation-progress"} <= ends.keys()
    assert set(ends.values()) == {100}
    assert "package-progress" not in ends  # which had ended when it was first heard of
