"""Processes of a team are killed at random moments of a run, and restarted."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from mirror.encoders.encoder_ref import folder_encoder_digest
from mirror.hashing import MANIFEST, file_digests
from mirror.release.run_record import find_record, find_stage
from mirror.tuning.device_lock import device_lock
from tests.slow.chaos.killed_team.conftest import ReferenceRun, WriteRecipe
from tests.slow.chaos.killed_team.team import (
    ENDS,
    DeployedTeam,
    await_process,
    is_tuning,
    of_workspace,
)

pytestmark = pytest.mark.slow

MACHINE = "machine"
"""All at once, as when the power fails."""
VICTIMS = ("worker", "flow", "tuning", "prefect", "mlflow", "postgres", MACHINE)
MOMENTS = int(os.environ.get("MIRROR_FAULT_MOMENTS", "6"))
"""Six are one of each that can die by itself; thirty take half an hour."""
SEED = int(os.environ.get("MIRROR_FAULT_SEED", "1"))
NOTICED_SECONDS = 5.0
"""The most from a death to the `mirror up` that heals it."""
START_SECONDS = 120
END_SECONDS = 300
TRIES = 4
CARD = "README.md"
DEVICE = "cpu"


@dataclass(frozen=True)
class Moment:
    """When something is killed, as shares: of its life within a run, and of the time to notice."""

    number: int
    victim: str
    share: float
    noticed: float

    def __str__(self) -> str:
        return f"{self.number}-{self.victim}-{self.share:.2f}"


def draw_moments() -> list[Moment]:
    """Every victim as often as any other."""
    drawn = random.Random(SEED)
    return [
        Moment(number, VICTIMS[number % len(VICTIMS)], drawn.random(), drawn.random())
        for number in range(MOMENTS)
    ]


@pytest.mark.parametrize("moment", draw_moments(), ids=str)
def test_a_run_ends_as_if_nothing_had_been_killed(
    moment: Moment,
    team: DeployedTeam,
    reference_run: ReferenceRun,
    write_recipe: WriteRecipe,
    tmp_path: Path,
) -> None:
    for attempt in range(TRIES):
        folder = tmp_path / f"faults-{SEED}-{moment.number}-{attempt}"
        recipe, model = write_recipe(folder)
        home = folder / "home"
        run = team.start_run(recipe, home)
        # A run that was quicker than the reference run may have ended before.
        if kill(moment, 0.7**attempt, run, team, reference_run, home):
            break
        assert team.await_end(run, END_SECONDS)[0] == "COMPLETED"
    else:
        pytest.fail(f"{moment.victim} was never there to be killed")
    heal(moment, team)
    assert team.keeps_place(run)
    see_it_end(run, team, recipe, home)

    assert outcome_of(home, model) == outcome_of(reference_run.home, reference_run.model)
    assert registered(team, model) == registered(team, reference_run.model)
    assert_nothing_half_made(home)
    assert_nothing_runs(home)


def kill(
    moment: Moment,
    scale: float,
    run: str,
    team: DeployedTeam,
    quiet: ReferenceRun,
    home: Path,
) -> bool:
    """Kills the victim at its moment; whether it was there, and the run not at its end."""
    began = time.monotonic()
    spans = {"flow": quiet.flow, "tuning": quiet.tuning}
    first, last = spans.get(moment.victim, (0.0, quiet.seconds))
    if moment.victim in spans:
        await_process(lambda: of_run(moment.victim, home), START_SECONDS)
    time.sleep(moment.share * scale * (last - first))
    if team.state_of(run)[0] in ENDS:
        return False
    victims = find_victims(moment.victim, team, home)
    if not victims and moment.victim != "postgres":
        return False
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    if moment.victim in ("postgres", MACHINE):
        team.cluster.kill()
    say(f"{moment.victim} killed {time.monotonic() - began:.1f} s after the request")
    return True


def find_victims(victim: str, team: DeployedTeam, home: Path) -> list[psutil.Process]:
    """The processes that are to be killed; none where they are not there, or PostgreSQL's."""
    if victim == "postgres":
        return []
    if victim == MACHINE:
        return [*team.processes(), *of_workspace(home)]
    if victim in ("flow", "tuning"):
        return of_run(victim, home)
    [pid] = [pid for name, pid in team.pids.items() if name.startswith(victim)]
    found = [psutil.Process(pid)]
    # A worker's children are runs, which are victims of their own; a server's are the server.
    return found if victim == "worker" else [*found, *found[0].children(recursive=True)]


def of_run(victim: str, home: Path) -> list[psutil.Process]:
    """The process of a run that tunes, or the one that all others of it come from."""
    there = of_workspace(home)
    if victim == "tuning":
        return [one for one in there if is_tuning(one)]
    numbers = {one.pid for one in there}
    with suppress(psutil.NoSuchProcess):
        return [one for one in there if one.ppid() not in numbers]
    return []


def heal(moment: Moment, team: DeployedTeam) -> None:
    """Start what was killed again, as an operator would."""
    time.sleep(moment.noticed * NOTICED_SECONDS)
    if moment.victim in ("postgres", MACHINE):
        team.cluster.start()
    if moment.victim not in ("flow", "tuning"):
        done = team.up()
        printed = (done.stdout + done.stderr).splitlines()
        say("; ".join(line for line in printed if line.startswith(("starting", "was killed"))))


def see_it_end(run: str, team: DeployedTeam, recipe: Path, home: Path) -> None:
    """Wait for the run's end, and run it again if it failed."""
    began = time.monotonic()
    kind, message = team.await_end(run, END_SECONDS)
    say(f"the run: {message}, after {time.monotonic() - began:.1f} s")
    if kind == "COMPLETED":
        return
    assert kind in ("FAILED", "CRASHED"), message
    began = time.monotonic()
    again = team.start_run(recipe, home)
    kind, message = team.await_end(again, END_SECONDS)
    say(f"run again: {message}, after {time.monotonic() - began:.1f} s")
    assert kind == "COMPLETED", message


def say(text: str) -> None:
    """For the output of the test, which pytest shows of one that fails, and of all with -rA."""
    sys.stdout.write(f"{text}\n")


def outcome_of(home: Path, model: str) -> dict[str, Any]:
    """Return the results of a run, without names and times."""
    record = find_record(home)
    files = file_digests(Path(record.encoder))
    files.pop(CARD)  # it names the model
    return {
        "sample": find_stage(record, "sample").digest,
        "tuned": find_stage(record, "tune").digest,
        "encoder": files,
        "promote": record.promote,
        # The last is the registry's, and says whether it was registered before.
        "reasons": record.reasons[:-1],
        "scores": record.scores,
        "model": record.model.replace(model, "MODEL"),
    }


def registered(team: DeployedTeam, model: str) -> dict[str, Any]:
    """Return a model's registry entries, without names and times."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(team.tracking)
    versions = client.search_model_versions(f"name = '{model}'")
    names = [one.name for one in client.search_registered_models()]
    [experiment] = client.search_experiments(filter_string="name = 'en-tiny'")
    runs = client.search_runs(
        [experiment.experiment_id], f"tags.registered_model = '{model}'", max_results=100
    )
    ended = [one.info.status for one in runs]
    assert "RUNNING" not in ended
    return {
        "versions": [(str(one.version), one.tags["promotion_status"]) for one in versions],
        "encoders": [one.tags["encoder_digest"] for one in versions],
        "kept": [kept_encoder(team, one) for one in versions],
        "aliases": {k: str(v) for k, v in client.get_registered_model(model).aliases.items()},
        "being moved": [name for name in names if name == f"{model}~moving"],
        "whole runs": ended.count("FINISHED"),
    }


def kept_encoder(team: DeployedTeam, version: Any) -> str:
    """The digest of what a service would get."""
    import mlflow

    mlflow.set_tracking_uri(team.tracking)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{version.name}/{version.version}"
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        configs = sorted(Path(folder).rglob("config.json"), key=lambda path: len(path.parts))
        return folder_encoder_digest(configs[0].parent)


def assert_nothing_half_made(home: Path) -> None:
    for folder in home.glob("stages/*/*"):
        listed = json.loads((folder / MANIFEST).read_text())["files"]
        assert file_digests(folder) == listed, folder
    assert list((home / "work").iterdir()) == []
    assert list(home.rglob("*.part")) == []


def assert_nothing_runs(home: Path) -> None:
    end = time.monotonic() + 60
    while left := of_workspace(home):
        assert time.monotonic() < end, [one.cmdline() for one in left]
        time.sleep(0.2)
    with device_lock(DEVICE, lambda seconds: check(seconds < 60)):
        pass


def check(true: bool) -> None:
    assert true, f"the place on {DEVICE} was not given back"
