"""A run that is killed at one moment after the other, in one workspace, and then left to end."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record, find_stage

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
DYING = """
import os, signal, time
from flows.cli.main import main
from mirror.tuning import worker
from tasks import progress
from tasks.registry import registration, run_logging

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def report_event(_reporter, sign):
    print("event", sign.stage, sign.done, flush=True)
    if sign.stage == {stage!r} != "tune" and sign.done >= {done}:
        die()

progress.Reporter.__call__ = report_event
if {function!r}:
    owner = run_logging if hasattr(run_logging, {function!r}) else registration
    setattr(owner, {function!r}, die)
if {stage!r} == "tune":
    worker.CHILD = ("-c", {child!r})
main()
"""
CHILD = """
import os, signal, time
from mirror.tuning import worker
from mirror.tuning import stage as tuning_stage

progress_event = tuning_stage._progress_event

def report_and_die(step):
    if step.step == 3:
        time.sleep(1.1)  # so that a checkpoint is due after the fourth step
    if step.step == {done}:  # both at once, as when the power fails
        time.sleep(0.5)  # so that earlier events are read
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return progress_event(step)

tuning_stage._progress_event = report_and_die
worker.main()
"""
CHAIN = ("corpus", "profile", "sample", "evaluation", "tune", "smoke-test", "package", "report")
"""Stages in the order in which the first folder of each is published."""
KILLS = {
    "corpus": {"stage": "corpus", "done": 1, "function": ""},
    "evaluation of the base": {"stage": "evaluation", "done": 0, "function": ""},
    "tune": {"stage": "tune", "done": 6, "function": ""},
    "smoke-test": {"stage": "smoke-test", "done": 0, "function": ""},
    "package": {"stage": "package", "done": 1, "function": ""},
    "recording in MLflow": {"stage": "", "done": 0, "function": "_log_encoder"},
    "moving aliases": {"stage": "", "done": 0, "function": "_settle"},
}
"""Moments at which a run is killed, in the order of the chain."""


@dataclass(frozen=True)
class KilledRun:
    """Return the files that a killed run left."""

    code: int
    events: list[list[str]]
    """Stage and count of each progress event."""
    published: set[str]
    """Stages that were published."""
    checkpoints: list[str]


@pytest.fixture(scope="module")
def killed_runs(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
) -> SimpleNamespace:
    """All killed runs by where they were killed, and the recipe and workspace that they share."""
    folder = tmp_path_factory.mktemp("killed")
    recipe, home = write_recipe(folder), folder / "home"
    left: dict[str, KilledRun] = {}
    for name, kill in KILLS.items():
        done = mirror_run(
            recipe,
            home,
            DYING.format(**kill, child=CHILD.format(**kill)),
            PREFECT_API_URL=prefect_api,
        )
        events = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("event")]
        left[name] = KilledRun(
            done.returncode,
            events,
            {path.parent.name for path in home.glob("stages/*/*")},
            sorted(path.name for path in home.glob("work/*/checkpoint-*")),
        )
    return SimpleNamespace(home=home, recipe=recipe, left=left)


@pytest.fixture(scope="module")
def resumed_run(
    killed_runs: SimpleNamespace, mirror_run: Callable[..., Any], prefect_api: str
) -> SimpleNamespace:
    """The last run, which is not killed."""
    done = mirror_run(killed_runs.recipe, killed_runs.home, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=killed_runs.home, done=done, record=find_record(killed_runs.home))


def weights(encoder: str) -> str:
    return hashlib.sha256((Path(encoder) / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", KILLS)
def test_every_run_was_killed_at_its_position(killed_runs: SimpleNamespace, name: str) -> None:
    assert killed_runs.left[name].code == -signal.SIGKILL
    if stage := KILLS[name]["stage"]:
        assert killed_runs.left[name].events[-1][0] == stage


@pytest.mark.parametrize("name", [name for name, kill in KILLS.items() if kill["stage"]])
def test_a_killed_stage_is_missing_and_earlier_ones_exist(
    killed_runs: SimpleNamespace, name: str
) -> None:
    before = CHAIN[: CHAIN.index(KILLS[name]["stage"])]
    assert killed_runs.left[name].published == set(before)


def test_a_killed_tuning_goes_on_from_its_checkpoint(killed_runs: SimpleNamespace) -> None:
    [checkpoint] = killed_runs.left["tune"].checkpoints
    step = int(checkpoint.removeprefix("checkpoint-"))
    assert 0 < step < 6
    events = killed_runs.left["smoke-test"].events
    taken = [int(done) for stage, done in events if stage == "tune"]
    assert taken == list(range(step + 1, 9))


def test_killed_runs_end_with_the_same_bytes(
    resumed_run: SimpleNamespace, reference_run: SimpleNamespace
) -> None:
    expected = find_record(reference_run.home)
    for stage in ("corpus", "sample", "tune"):
        made, meant = find_stage(resumed_run.record, stage), find_stage(expected, stage)
        assert made.folder != meant.folder
        assert made.digest == meant.digest
    assert weights(resumed_run.record.encoder) == weights(expected.encoder)


def test_the_last_run_reuses_every_finished_stage(resumed_run: SimpleNamespace) -> None:
    assert "9 of 9 stages reused" in resumed_run.done.stdout


def test_no_partial_folders_remain(resumed_run: SimpleNamespace) -> None:
    assert list((resumed_run.home / "work").iterdir()) == []
    assert list(resumed_run.home.glob("runs/*/*.part")) == []


def test_one_version_is_registered_and_its_aliases_are_settled(
    resumed_run: SimpleNamespace,
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{resumed_run.home / 'mlflow.db'}")
    [version] = client.search_model_versions(f"name = '{MODEL}'")
    assert version.tags["promotion_status"] == "not promoted"
    assert client.get_registered_model(MODEL).aliases == {"challenger": int(version.version)}
    assert resumed_run.record.model == f"models:/{MODEL}/{version.version}"


def test_what_was_being_recorded_when_its_run_was_killed_is_ended(
    killed_runs: SimpleNamespace, resumed_run: SimpleNamespace
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{resumed_run.home / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string=f"name = '{killed_runs.recipe.stem}'")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
