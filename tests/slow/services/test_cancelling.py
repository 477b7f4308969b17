"""Cancelling in Prefect's pages, as their button does it, with a real server and worker."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mirror.tuning.device_lock import device_lock, device_name
from tests.fixtures.flows import api_client
from tests.fixtures.team import Team
from tests.fixtures.team import make_team as make_team

pytestmark = pytest.mark.slow
STEPS = 2_500
ENDS = ("Completed", "Failed", "Crashed", "Cancelled")
MARK = 321.5
"""A loss that no step has: if it is in the final log, no step was repeated."""


class Runs:
    """Runs of one deployed recipe, with servers and a worker of their own."""

    def __init__(self, team: Team) -> None:
        self.home, self.ports = team.home, team.ports
        self.ask = api_client(f"http://127.0.0.1:{team.ports[0]}/api")
        self.ended = ""
        """The flow run that was let end."""

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
def runs(
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    make_team: Callable[..., Team],
) -> Iterator[Runs]:
    team = make_team()
    seeded(team.home, stages=("corpus", "profile", "sample", "evaluation"))
    folder = team.home.parent
    recipe = copy_recipe(folder)
    recipe.write_text(recipe.read_text().replace("epochs = 2", f"epochs = {STEPS // 4}"))
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
    try:
        team.up()
        team.environment["PREFECT_API_URL"] = f"http://127.0.0.1:{team.ports[0]}/api"
        team.mirror("deploy", "--yes", "--file", str(folder / "prefect.yaml"))
        yield Runs(team)
    finally:
        team.mirror("down")


def test_one_that_waits_for_its_place_can_be_cancelled(runs: Runs) -> None:
    with device_lock(device_name()):
        run = runs.start()
        wait("it tunes", runs.tuning)
        wait("its page says that it waits", lambda: "waiting for other runs" in str(runs.logs(run)))
        runs.cancel(run)
        wait("the process that waits has ended", lambda: not runs.tuning(), 10)
        wait("the run is cancelled", lambda: runs.state(run) == "Cancelled", 60)
    assert runs.checkpoints() == []


def test_a_cancelled_run_stops_at_a_checkpoint_and_the_next_goes_on_from_there(runs: Runs) -> None:
    cancelled = runs.start()
    wait("a checkpoint is there", runs.checkpoints)
    assert not place_is_free()
    before = runs.checkpoints()
    runs.cancel(cancelled)
    wait("the process that tunes has ended", lambda: not runs.tuning(), 10)
    [checkpoint] = runs.checkpoints()
    assert checkpoint.name > before[0].name
    assert place_is_free()
    wait("the run is cancelled", lambda: runs.state(cancelled) == "Cancelled", 60)

    advance = json.loads((checkpoint / "state.json").read_text())
    assert 0 < advance["step"] < STEPS
    advance["losses"][0] = MARK
    (checkpoint / "state.json").write_text(json.dumps(advance))
    again = runs.start()
    wait("it has ended", lambda: runs.state(again) in ENDS, 500)
    assert runs.state(again) == "Completed", runs.logs(again)
    runs.ended = again
    [steps] = runs.home.glob("stages/tune/*/steps.jsonl")
    losses = [json.loads(line)["loss"] for line in steps.read_text().splitlines()]
    assert (len(losses), losses[0], losses.count(MARK)) == (STEPS, MARK, 1)
    assert f"resuming from step {advance['step']}" in runs.logs(again)


def test_the_page_of_a_run_tells_what_it_came_to(runs: Runs) -> None:
    wanted = {"flow_runs": {"id": {"any_": [runs.ended]}}}
    found = {one["key"]: one for one in runs.ask("artifacts/filter", wanted)}
    outcome = found["outcome"]
    assert outcome["task_run_id"] is None  # the run's own, on top of its tasks'
    assert outcome["data"].startswith("## Challenger: mirror-en-tiny version 1: not promoted")
    assert "| passage-retrieval | " in outcome["data"]
    assert "improvement over the base" in outcome["data"]
    pages = re.findall(r"\]\((http://127.0.0.1:\d+/)(#/[^)]+)\)", outcome["data"])
    assert {server for server, _ in pages} == {f"http://127.0.0.1:{runs.ports[1]}/"}
    assert "#/models/mirror-en-tiny/versions/1" in [page for _, page in pages]
    assert "file:" not in json.dumps(list(found.values()))
    ends = {key: one["data"] for key, one in found.items() if key.endswith("-progress")}
    assert {"tune-progress", "evaluation-progress"} <= ends.keys()
    assert set(ends.values()) == {100}
    assert "package-progress" not in ends  # which had ended when it was first heard of
